"""What Schemathesis is told of this API: an id to ask for, how its streams read, and what every refusal looks like."""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from schemathesis.checks import CheckContext

from tests.support.sse_reader import DONE, is_comment, read_event
from tests.support.stack import MODEL

OWN_KEY_ID = "ABUSE_OWN_KEY_ID"
"""The variable with the id of the key that Schemathesis asks with, which it must not disable or delete."""
RULED = {
    "createChatCompletion": ("messages", "tools", "tool_choice", "response_format", "web_search_options", "logit_bias",
                             "logprobs", "top_logprobs"),
    "createCompletion": ("prompt",),
    "createBatch": ("input_file_id",),
}  # fmt: skip
"""Fields with rules that no schema of theirs says."""
OWN_OF_JOBS = ("model", "endpoint", "metadata")
"""The fields of a job whose schema says all; what is beside them is a request of another operation."""


@schemathesis.deserializer("application/jsonl")  # type: ignore[untyped-decorator]
def read_lines(_context: Any, response: Any) -> str:
    """A file holds any bytes."""
    return str(response.content.decode(errors="replace"))


@schemathesis.deserializer("text/event-stream")  # type: ignore[untyped-decorator]
def read_stream(_context: Any, response: Any) -> list[Any]:
    """The chunks, which Schemathesis holds to the document's schema one by one."""
    return [event for event in events_of(response) if event != DONE]


def events_of(response: Any) -> list[Any]:
    """The events, the last among them."""
    *whole, rest = response.content.split(b"\n\n")
    assert rest == b""
    parts = [part + b"\n\n" for part in whole]
    return [read_event(part) for part in parts if not is_comment(part)]


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_body(_context: Any, body: Any) -> Any:
    """Most models that chance names do not exist: every second one is made one that does."""
    if isinstance(body, dict) and isinstance(model := body.get("model"), str) and len(model) in range(2, 256, 2):
        body["model"] = MODEL
    return body


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """The key in use stays."""
    id_ = (case.path_parameters or {}).get("id")
    if "/v1/keys/" in case.path and case.method != "GET" and id_ == os.environ[OWN_KEY_ID]:
        case.path_parameters["id"] = "k0000000"


@schemathesis.check  # type: ignore[untyped-decorator]
def refusals_have_the_error_shape(_context: CheckContext, response: Any, case: Any) -> None:
    """CONTRACT "Errors"."""
    assert response.headers.get("x-request-id"), "no x-request-id"
    if response.status_code < 400 or case.method == "HEAD":
        return
    error = response.json()["error"]
    assert {"message", "type", "code", "param"} <= error.keys() <= {"message", "type", "code", "param", "reason"}
    assert error["code"] == response.status_code
    assert isinstance(error["message"], str)
    assert len(error["message"]) < 2000
    for word in ("Traceback", "botocore", "arn:aws", "DynamoDB"):
        assert word not in error["message"]


@schemathesis.check  # type: ignore[untyped-decorator]
def a_good_request_is_refused_by_rule_alone(_context: CheckContext, response: Any, case: Any) -> None:
    """What fits its schema is refused only for a rule of a field that has rules, and by its name."""
    fits = case.meta is not None and case.meta.generation.mode.is_positive
    if not fits or response.status_code != 400:
        return
    param = response.json()["error"]["param"] or ""
    match case.operation.definition.raw.get("operationId"):
        case "createJob":
            assert param not in OWN_OF_JOBS, f"a schema-valid request was refused for {param!r}"
        case id_ if id_ in RULED:
            assert param.startswith(RULED[id_]), f"a schema-valid request was refused for {param!r}"


@schemathesis.check  # type: ignore[untyped-decorator]
def streams_are_whole(_context: CheckContext, response: Any, _case: Any) -> None:
    """CONTRACT "Stream": all of one answer, the usage with the last chunk, and DONE after it."""
    if not response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        return
    *events, done = events_of(response)
    assert done == DONE
    assert len({(event["id"], event["created"], event["model"]) for event in events}) == 1
    assert events[-1]["usage"]["total_tokens"] > 0
