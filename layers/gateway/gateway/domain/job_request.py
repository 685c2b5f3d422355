"""What asks for a job: the fields of the request itself, and a few of the job's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.domain.callbacks import check_callback_url
from gateway.domain.wire import WireModel, parse_request


class JobFields(WireModel):
    """The job's own fields."""

    endpoint: Literal["/v1/chat/completions", "/v1/completions"] = "/v1/chat/completions"
    callback_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None


EXPECTED = {
    "endpoint": "'/v1/chat/completions' or '/v1/completions'",
    "callback_url": "an https URL of at most 2048 characters",
    "metadata": "an object of at most 16 strings",
    "metadata.*": "a string",
}


def parse_job_request(fields: Mapping[str, Any]) -> tuple[JobFields, dict[str, Any]]:
    """The job's own fields and, apart, those of the request. Raises InvalidRequest naming the field."""
    body = dict(fields)
    own = {name: body.pop(name) for name in JobFields.model_fields if name in body}
    asked = parse_request(JobFields, own, expected=EXPECTED)
    if asked.callback_url is not None:
        check_callback_url(asked.callback_url)
    return asked, body
