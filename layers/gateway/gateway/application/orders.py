"""From a valid request to an order: what the engine is to be asked, and how much of the quota that may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.application.choices import Choice
from gateway.application.generation import Order
from gateway.application.ports import Ids
from gateway.application.searching import Findings, SearchOrder
from gateway.catalogue import Catalogue
from gateway.domain.admission import estimate_prompt_tokens
from gateway.domain.answer import Kind
from gateway.domain.chat import ChatRequest, CompletionRequest, Sampling, unsupported
from gateway.domain.cited_shaping import CitedJsonShaper, CitedShaper
from gateway.domain.engine import COUNT_EVERY_CHUNK
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.images import ImageLink, count_images, take_images
from gateway.domain.json_distinct import distinct_places
from gateway.domain.keys import ApiKey
from gateway.domain.logprobs import LEAST_ASKED
from gateway.domain.models import Model
from gateway.domain.native_tools import NativeToolShaper, native_fields
from gateway.domain.prompt import fold_messages
from gateway.domain.response_format import ResponseFormat, engine_response_format, parse_response_format, with_urls_of
from gateway.domain.search_prompt import describe_images, is_search_tool, parse_web_search, render_results
from gateway.domain.shaping import JsonShaper, PlainShaper, Shaper
from gateway.domain.tool_answer import ToolAnswerShaper
from gateway.domain.tools import ToolPlan, answer_format, parse_tools, render_instructions, written

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"

LONGEST_TOKEN_BYTES = 48
"""No vocabulary we serve has a token of more bytes (runs of blanks are the longest): a prompt of more than this
times the context can't fit, whatever the engine counts."""

LEAST_TOP_P = 1e-9
"""The likeliest token alone, as 0 means; vLLM refuses 0 itself."""

SEEDS = 2**31 - 1
_TOKEN_ID = re.compile(r"[0-9]{1,9}")
QUESTION_TOKENS = 96
"""A search query and the JSON around it."""
QUESTION_BYTES = 900
"""The question for it, with the date and the longest place."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Orders:
    """Makes orders from requests. Everything that can be refused without I/O is refused here."""

    catalogue: Catalogue
    ids: Ids

    def model(self, id_: str) -> Model:
        """The model of this id. Raises NotFound; never another model."""
        model = self.catalogue.models.get(id_)
        if model is None:
            raise NotFound(
                f"The model {id_!r:.80} does not exist. GET /v1/models lists those that do.",
                param="model",
                reason="model_not_found",
            )
        return model

    def of_chat(self, request: ChatRequest, *, key: ApiKey) -> Order:
        """The order of a chat request. Raises InvalidRequest, NotFound."""
        model = self.model(request.model)
        wanted = parse_web_search(request.web_search, request.web_search_options, request.tools)
        tools = [tool for tool in request.tools or () if not is_search_tool(tool)]
        # the hosted search is nothing that the model calls: a choice beside it alone means nothing
        choice = request.tool_choice if tools or not request.tools else None
        plan = parse_tools(tools or None, choice, request.parallel_tool_calls)
        form = parse_response_format(request.response_format)
        if plan is not None and form is not None and form.core is not None:
            raise unsupported("response_format", "It can't be combined with 'tools'; leave one of them out.")
        if request.logprobs and (plan is not None or wanted is not None):
            raise unsupported("logprobs", "It can't be combined with 'tools' or 'web_search'; leave one of them out.")
        native, emulated = (plan, None) if model.native_tools else (None, plan)
        answer_form = answer_format(emulated) if emulated is not None else form
        instructions = render_instructions(emulated) if emulated is not None else _json_instructions(form)
        spoken: Sequence[Mapping[str, Any]] = request.messages
        links: Sequence[ImageLink] = ()
        if model.vision:
            spoken, links = take_images(spoken, dialect=model.dialect)
        extra = engine_response_format(answer_form, dialect=model.dialect) | _scoring(request)
        if native is not None:
            extra |= native_fields(native)
        new_shaper = self._shaper_maker(plan, form, native=model.native_tools)
        folded = fold_messages(spoken, model=model, instructions=instructions)
        body = self._body(request, model=model, messages=folded) | extra
        order = self._order(
            request, key=key, model=model, endpoint=CHAT, kind="chat", bodies=[body], new_shaper=new_shaper
        )
        choices = [replace(choice, top_logprobs=request.top_logprobs or 0) for choice in order.choices]
        order = replace(order, images=links, choices=choices)
        if wanted is None:
            return order

        def answer(found: Findings) -> list[Choice]:
            in_json = form is not None and form.core is not None
            seen = _with_findings(spoken, found, model=model, in_json=in_json)
            shown = fold_messages(seen, model=model, instructions=instructions)
            bound = engine_response_format(form and with_urls_of(form, found.urls()), dialect=model.dialect)
            return _choices(
                [self._body(request, model=model, messages=shown) | extra | bound],
                n=request.n,
                new_shaper=lambda: _cited(new_shaper(), found),
            )

        def question(messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> Body:
            return self._question(model, messages, schema)

        search = SearchOrder(plan=wanted, conversation=spoken, question=question, answer=answer)
        return replace(order, search=search, reserved_tokens=order.reserved_tokens + _search_tokens(model, body))

    def _question(self, model: Model, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> Body:
        """A short question to the model itself, whose answer holds to a schema."""
        form = parse_response_format({"type": "json_schema", "json_schema": {"name": "query", "schema": schema}})
        # not the client's sampling, which is for the answer: a penalty or a stop string would spoil the JSON
        plain = Sampling(model=model.id, temperature=0, max_tokens=QUESTION_TOKENS)
        body = self._body(plain, model=model, messages=fold_messages(messages, model=model))
        return body | engine_response_format(form, dialect=model.dialect)

    def of_completion(self, request: CompletionRequest, *, key: ApiKey) -> Order:
        """The order of a text completion: each prompt is asked as one user message, for the models are chat models."""
        model = self.model(request.model)
        bodies = [
            self._body(request, model=model, messages=fold_messages([{"role": "user", "content": prompt}], model=model))
            for prompt in request.prompt
        ]
        return self._order(
            request, key=key, model=model, endpoint=COMPLETIONS, kind="text", bodies=bodies, new_shaper=PlainShaper
        )

    def _shaper_maker(
        self, plan: ToolPlan | None, form: ResponseFormat | None, *, native: bool
    ) -> Callable[[], Shaper]:
        def new_call_id() -> str:
            return f"call_{self.ids.request_id()}"

        if plan is not None and native:
            return lambda: NativeToolShaper(new_call_id)
        if plan is not None:
            distinct = {tool.name: places for tool in plan.tools if (places := distinct_places(tool.core))}
            return lambda: ToolAnswerShaper(new_call_id, distinct=distinct)
        if form is not None and form.core is not None:
            places, top = distinct_places(form.core), form.top
            return lambda: JsonShaper(top, distinct=places)
        return PlainShaper

    def _body(self, request: Sampling, *, model: Model, messages: list[dict[str, Any]]) -> Body:
        size = _text_bytes(messages)
        if size > model.context_tokens * LONGEST_TOKEN_BYTES:
            raise InvalidRequest(
                f"The prompt has {size} bytes of text, at least {size // LONGEST_TOKEN_BYTES} tokens; "
                f"the model's context holds {model.context_tokens}. Shorten the messages.",
                param="messages",
                reason="context_length_exceeded",
            )
        body: Body = {
            "model": model.id,
            "messages": messages,
            "stream": True,
            "temperature": request.temperature,
            "top_p": max(request.top_p, LEAST_TOP_P),
            "frequency_penalty": request.frequency_penalty,
            "presence_penalty": request.presence_penalty,
            "max_tokens": min(request.completion_limit, model.max_completion_tokens),
            **COUNT_EVERY_CHUNK[model.dialect],
        }
        optional = {"top_k": request.top_k, "min_p": request.min_p, "stop": request.stop, "seed": request.seed}
        return body | {name: value for name, value in optional.items() if value is not None}

    def _order(
        self,
        request: Sampling,
        *,
        key: ApiKey,
        model: Model,
        endpoint: str,
        kind: Kind,
        bodies: Sequence[Body],
        new_shaper: Callable[[], Shaper],
    ) -> Order:
        choices = _choices(bodies, n=request.n, new_shaper=new_shaper)
        prompts = sum(_prompt_tokens(model, body) for body in bodies)
        return Order(
            request_id=self.ids.request_id(),
            key=key,
            model=model,
            endpoint=endpoint,
            kind=kind,
            choices=choices,
            reserved_tokens=prompts + sum(choice.body["max_tokens"] for choice in choices),
            stream=request.stream,
        )


def _choices(bodies: Sequence[Body], *, n: int, new_shaper: Callable[[], Shaper]) -> list[Choice]:
    return [
        Choice(
            index=position * n + repeat,
            body=_reseeded(body, repeat),
            new_shaper=new_shaper,
            counts_prompt=repeat == 0,
        )
        for position, body in enumerate(bodies)
        for repeat in range(n)
    ]


def _with_findings(
    messages: Sequence[Mapping[str, Any]], found: Findings, *, model: Model, in_json: bool
) -> Sequence[Mapping[str, Any]]:
    """The conversation with what was found before the last thing that the user said."""
    if found.status != "searched":
        return messages
    most = _findings_bytes(model)
    if found.images is not None:
        block = describe_images(found.images, found.today, most, in_json=in_json)
    else:
        block = render_results(found.results, found.today, most, in_json=in_json)
    last = max(
        (index for index, message in enumerate(messages) if message.get("role") == "user"), default=len(messages)
    )
    return [*messages[:last], {"role": "user", "content": block}, *messages[last:]]


def _cited(shaper: Shaper, found: Findings) -> Shaper:
    if found.status != "searched":
        return shaper
    if isinstance(shaper, PlainShaper):
        return CitedShaper(found.results, found.images or ())
    if not found.urls():  # no stranger's text in the prompt
        return shaper
    return CitedJsonShaper(shaper, found.results, found.images or ())


def _findings_bytes(model: Model) -> int:
    """A quarter of the context, at three bytes a token, and never more than results are worth."""
    return min(12_000, model.context_tokens * 3 // 4)


def _search_tokens(model: Model, body: Body) -> int:
    """What a search may use on top: the question, which sees the conversation too, and the findings in the prompt."""
    added_tokens = estimate_prompt_tokens(QUESTION_BYTES + _findings_bytes(model), messages=2)
    return _prompt_tokens(model, body) + added_tokens + QUESTION_TOKENS


def _prompt_tokens(model: Model, body: Body) -> int:
    messages = body["messages"]
    text_tokens = estimate_prompt_tokens(_text_bytes(messages) + _tool_bytes(body), messages=len(messages))
    return text_tokens + model.image_tokens * count_images(messages)


def _reseeded(body: Body, repeat: int) -> Body:
    """The n-th choice of a seeded request has a seed of its own, or all choices would be the same.

    Any integer is a seed to us; llama.cpp takes 32 bits of it and reads all ones as "random".
    """
    return body | {"seed": (body["seed"] + repeat) % SEEDS} if "seed" in body else body


def _scoring(request: ChatRequest) -> Body:
    body: Body = {}
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": max(request.top_logprobs or 0, LEAST_ASKED)}
    elif request.top_logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    if request.logit_bias:
        for token in request.logit_bias:
            if _TOKEN_ID.fullmatch(token) is None:
                raise InvalidRequest(
                    f"'logit_bias' takes token ids of the model as keys, got {token!r:.40}.", param="logit_bias"
                )
        body["logit_bias"] = request.logit_bias
    return body


def _json_instructions(form: ResponseFormat | None) -> str:
    """Tells the model what its decoding is constrained to: without it, small models fill JSON with blanks."""
    if form is None or form.core is None:
        return ""
    if isinstance(form.schema, dict):
        return f"Answer with JSON only, matching this JSON Schema: {written(form.schema)}"
    return "Answer with JSON only."


def _tool_bytes(body: Body) -> int:
    """The size of native tools and of the calls before; emulated ones are text of the messages."""
    told = [body.get("tools"), *(message.get("tool_calls") for message in body["messages"])]
    return sum(len(written(tools).encode()) for tools in told if tools)


def _text_bytes(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(
        len(text.encode())
        for message in messages
        for text in (
            [message["content"]]
            if isinstance(message["content"], str)
            else [part.get("text", "") for part in message["content"]]
        )
    )
