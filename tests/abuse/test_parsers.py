"""Every parser on what nobody would send: each gives a value or the one kind of failure that it promises.

The event stream's parser has its tests beside the adapter (`tests/contract/test_sagemaker_engine.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from gateway.application.access import read_key
from gateway.application.orders import Orders
from gateway.catalogue import load_catalogue
from gateway.domain.batches import LineSplitter, parse_line
from gateway.domain.callbacks import check_callback_url
from gateway.domain.chat import parse_chat_request, parse_completion_request
from gateway.domain.engine import parse_chunk, translate_refusal
from gateway.domain.errors import AuthenticationFailed, GatewayError, InvalidRequest, NotFound
from gateway.domain.image_formats import BadImage, inspect_image
from gateway.domain.job_request import parse_job_request
from gateway.domain.keys import parse_key
from gateway.domain.search import plain_text, safe_url
from gateway.domain.sse import SseDecoder
from gateway.domain.wire import parse_json_object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.accounts import new_customer
from tests.support.fakes import NumberedIds
from tests.support.image_files import gif, jpeg, png, vp8, vp8l, webp
from tests.support.schema_strategy import SCHEMAS
from tests.support.stack import MODEL

EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
KEY = new_customer().key
ORDERS = Orders(load_catalogue(), NumberedIds())

HUGE = st.sampled_from(
    [2**31, 2**63, 2**64, -(2**63) - 1, 10**300, 10**4000, 1e308, -1e308, 5e-324, -0.0, 0.1, 10**18 + 0.5]
)
ODD_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "\x00", "\u202e", "a" * 10_000, "9" * 5000, "__proto__", "${jndi:x}", "%s%n", "\u0663", "🎉", "\uffff"]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HUGE
SCALARS = st.none() | st.booleans() | NUMBERS | ODD_TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXTS, inner, max_size=4), max_leaves=12
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def whole(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with all of these fields."""
    return st.fixed_dictionaries(fields)


def any_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these names and anything behind them."""
    return some(**dict.fromkeys(names, VALUES))


def joined(*pieces: str) -> st.SearchStrategy[str]:
    """Texts of these pieces."""
    return st.lists(st.sampled_from(pieces), max_size=20).map("".join)


def joined_bytes(*pieces: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of these pieces, and of a few of chance's."""
    return st.lists(st.sampled_from(pieces) | st.binary(max_size=5), max_size=12).map(b"".join)


PARTS = st.one_of(
    VALUES,
    whole(type=st.just("text"), text=ODD_TEXTS | VALUES),
    whole(type=st.just("image_url"), image_url=whole(url=ODD_TEXTS) | VALUES),
)
CALLS = some(
    id=ODD_TEXTS | VALUES,
    type=st.just("function"),
    function=VALUES | whole(name=ODD_TEXTS, arguments=ODD_TEXTS | st.just('{"a": [1]}')),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | VALUES},
        optional={
            "content": ODD_TEXTS | st.lists(PARTS, max_size=3) | VALUES,
            "name": VALUES,
            "tool_calls": st.lists(CALLS, max_size=2) | VALUES,
            "tool_call_id": ODD_TEXTS,
            "refusal": VALUES,
        },
    )
    | VALUES,
    max_size=4,
)
KEYWORDS = [
    "type",
    "enum",
    "const",
    "$ref",
    "$defs",
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "patternProperties",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "contains",
    "minContains",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "multipleOf",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "dependentRequired",
    "$id",
]
BEHIND_KEYWORDS = st.sampled_from(
    ["string", "integer", "#", "#/$defs/a", "(a*)*b", "[", "\\", "a{1,99999}", "^.{0,9}$", "#/anyOf/" + "9" * 5000]
)
WILD_SCHEMAS = SCHEMAS | st.dictionaries(st.sampled_from(KEYWORDS), VALUES | SCHEMAS | BEHIND_KEYWORDS, max_size=4)
FORMS = st.one_of(
    VALUES,
    whole(type=st.just("json"), schema=WILD_SCHEMAS),
    whole(type=st.just("json_schema"), json_schema=whole(name=ODD_TEXTS, schema=WILD_SCHEMAS)),
)
SEARCH_TOOLS = [{"type": "web_search"}, {"type": "web_search", "filters": {"allowed_domains": ["a.b"]}}]
FUNCTIONS = whole(type=st.just("function"), function=whole(name=st.just("f") | ODD_TEXTS, parameters=WILD_SCHEMAS))
PLAIN_FIELDS = [
    "temperature",
    "max_tokens",
    "stream",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "n",
    "user",
    "metadata",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "stream_options",
    "modalities",
    "parallel_tool_calls",
]
CHATS = st.fixed_dictionaries(
    {"model": st.sampled_from([MODEL, "gemma-3-4b-it-qat"]), "messages": MESSAGES},
    optional={
        **dict.fromkeys(PLAIN_FIELDS, VALUES),
        "response_format": FORMS,
        "tools": st.lists(VALUES | st.sampled_from(SEARCH_TOOLS) | FUNCTIONS, max_size=3),
        "tool_choice": VALUES | st.sampled_from(["auto", "required", {"type": "function", "function": {"name": "f"}}]),
        "web_search": st.sampled_from(["auto", "force", "images", True, False]) | VALUES,
        "web_search_options": VALUES
        | any_of("search_context_size", "filters", "user_location", "language", "freshness_days"),
    },
)


def written(value: Any) -> bytes:
    """As JSON, lone surrogates and all; numbers of any length."""
    return json.dumps(value).encode()


def refused_or(step: Callable[[], Any], *failures: type[Exception]) -> Any:
    """What the step gives, or None where it fails as it may: shortly, and by the client's fault."""
    try:
        return step()
    except failures as error:
        failure = error
    if isinstance(failure, GatewayError):
        assert failure.status < 500
        assert len(json.dumps(failure.body())) < 3000
    return None


def with_failures(step: Callable[[], Any]) -> None:
    """An engine may fail in any way that we know."""
    with suppress(GatewayError):
        step()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data, cut at these places."""
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


CUTS = st.lists(st.integers(0, 300), max_size=5)


@EXAMPLES
@given(CHATS)
def test_a_chat_request_is_an_order_or_refused(fields: Any) -> None:
    refused_or(lambda: ORDERS.of_chat(parse_chat_request(written(fields)), key=KEY), InvalidRequest, NotFound)


@EXAMPLES
@given(WILD_SCHEMAS, st.booleans())
def test_a_schema_is_enforced_or_refused(schema: Any, in_tool: bool) -> None:
    fields: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    if in_tool:
        fields["tools"] = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    else:
        fields["response_format"] = {"type": "json", "schema": schema}
    refused_or(lambda: ORDERS.of_chat(parse_chat_request(written(fields)), key=KEY), InvalidRequest)


@EXAMPLES
@given(any_of("prompt", "n", "stop", "echo", "suffix", "stream"))
def test_a_text_completion_is_an_order_or_refused(fields: Any) -> None:
    body = written({"model": MODEL, **fields})
    refused_or(lambda: ORDERS.of_completion(parse_completion_request(body), key=KEY), InvalidRequest, NotFound)


@EXAMPLES
@given(any_of("model", "endpoint", "callback_url", "metadata", "messages"))
def test_a_job_is_read_or_refused(fields: Any) -> None:
    refused_or(lambda: parse_job_request(fields), InvalidRequest)


GOOD = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "temperature": 1}).encode()
BITS = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b"\\udc00", b"NaN", b"-Infinity", b"1e999", b"-", b"\x00",
     b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"/*", b",", b":", b"null", b"[" * 5000, b'{"a":' * 5000, b"9" * 9000,
     b'"model":"x",', b"1.", b"0x1", b"'", b"\xe2\x80\xa8", b"true"]
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), BITS | st.binary(max_size=6)), max_size=4)


@EXAMPLES
@given(CHANGES)
def test_a_body_with_bytes_cut_out_and_put_in_is_read_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    body = GOOD
    for at, cut, bits in changes:
        body = body[:at] + bits + body[at + cut :]
    refused_or(lambda: parse_json_object(body), InvalidRequest)
    refused_or(lambda: ORDERS.of_chat(parse_chat_request(body), key=KEY), InvalidRequest, NotFound)


@EXAMPLES
@given(
    st.binary(max_size=200) | joined_bytes(b"\n", b"\r\n", b'{"custom_id":"a",', b'{"body":', b"}", b"[" * 999), CUTS
)
def test_lines_of_a_batch_are_the_same_however_they_come_and_read_or_refused(data: bytes, cuts: list[int]) -> None:
    def split(parts: list[bytes]) -> list[tuple[int, bytes]]:
        splitter = LineSplitter()
        return [line for part in parts for line in splitter.feed(part)] + list(splitter.end())

    lines = split([data])
    assert lines == split(pieces_of(data, cuts))
    for _, line in lines:
        refused_or(lambda line=line: parse_line(line, endpoint="/v1/chat/completions"), InvalidRequest)


@EXAMPLES
@given(joined_bytes(b"data: ", b"data:", b"\n", b"\r", b"\n\n", b"\r\n\r\n", b": c", b"{}", b"\xff", b"[DONE]"), CUTS)
def test_events_are_the_same_however_they_come_and_chunks_or_failures(data: bytes, cuts: list[int]) -> None:
    def decode(parts: list[bytes]) -> list[bytes]:
        decoder = SseDecoder()
        return [event for part in parts for event in decoder.feed(part)]

    events = decode([data])
    if b"\r" not in data:  # a CR at the end of a part may be half a line end: what follows it tells
        assert events == decode(pieces_of(data, cuts))
    for event in events:
        with_failures(lambda event=event: parse_chunk(event))


CHOICES = st.lists(any_of("delta", "index", "finish_reason", "text", "logprobs"), max_size=2)


@EXAMPLES
@given(VALUES | any_of("choices", "usage", "timings", "error", "object") | some(choices=CHOICES, usage=VALUES))
def test_a_chunk_of_an_engine_is_read_or_a_failure(chunk: Any) -> None:
    with_failures(lambda: parse_chunk(written(chunk)))


@EXAMPLES
@given(st.integers(100, 999), st.binary(max_size=60) | ODD_TEXTS | st.dictionaries(ODD_TEXTS, VALUES, max_size=3))
def test_a_refusal_of_an_engine_is_translated(status: int, body: Any) -> None:
    assert isinstance(translate_refusal(status, body), GatewayError)


FILES = st.sampled_from([png(), jpeg(), gif(), webp(vp8()), webp(vp8l())])
PATCHES = st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=4)


@EXAMPLES
@given(FILES, PATCHES, st.integers(0, 400))
def test_a_changed_image_is_one_or_is_bad(file: bytes, patches: list[tuple[int, bytes]], end: int) -> None:
    data = bytearray(file)
    for place, bits in patches:
        at = place % len(data)
        data[at : at + len(bits)] = bits
    image = refused_or(lambda: inspect_image(bytes(data[: end or None])), BadImage)
    if image is not None:
        assert image.width > 0
        assert image.height > 0
        assert image.length <= len(data)


@EXAMPLES
@given(
    ODD_TEXTS | st.text("sk-019azAZ_", max_size=70), st.sampled_from(["Bearer ", "bearer\t", "Basic ", "", "Bearer  "])
)
def test_a_text_is_no_key_by_chance(text: str, scheme: str) -> None:
    assert parse_key(text) is None
    with pytest.raises(AuthenticationFailed):
        read_key(scheme + text)


@EXAMPLES
@given(
    ODD_TEXTS
    | joined(
        *[
            "https://",
            "http:",
            "//",
            "[",
            "]",
            "@",
            ":",
            "99999",
            "%00",
            "a.example",
            "/",
            "\\",
            "xn--",
            "..",
            "?",
            "#",
            "::1",
            "é",
        ],
        "\t",
        " ",
    )
)
def test_a_url_is_taken_or_refused(text: str) -> None:
    refused_or(lambda: check_callback_url(text), InvalidRequest)
    url = safe_url(text)
    assert url is None or (url.isascii() and url.startswith(("http://", "https://")))


MARKUP = joined(
    *["<", ">", "&", "&#", "&#x110000;", "&#xd800;", "<!--", "-->", "</", "<script>", "<![CDATA[", "&lt;", "'", "="],
    *["<a href=", '"', "\x00", "\ud800", "style='display:none'", "x"],
)


@EXAMPLES
@given(MARKUP)
def test_markup_becomes_text_that_can_be_written(text: str) -> None:
    plain_text(text, max_bytes=50).encode()


@pytest.mark.parametrize("times", [10, 50_000])
@pytest.mark.parametrize("bits", [b"[", b'{"a":', b"[[],", b'"\\u0041', b"-", b"1e", b"\\", b" ", b'{"a":1,'])
def test_what_is_repeated_without_end_is_refused(bits: bytes, times: int) -> None:
    with pytest.raises(InvalidRequest):
        parse_chat_request(bits * times)
