"""`response_format`: what the client may ask of the answer's form, and how each engine is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.domain.cited_json import with_found_urls
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_closer import Top
from gateway.domain.json_grammar import grammar_of
from gateway.domain.json_schema import normalise
from gateway.domain.models import Dialect
from gateway.domain.wire import wrong_field

Kind = Literal["text", "json", "json_object", "json_schema"]

_PARAM = "response_format"
_CORES: dict[Kind, dict[str, Any]] = {
    "json": {"anyOf": [{"type": "object"}, {"type": "array"}]},
    "json_object": {"type": "object"},
}
_SPELLINGS = 'one of "json", {"type":"text"}, {"type":"json"}, {"type":"json_object"}, {"type":"json_schema"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The form that an answer takes.

    `schema` is the client's own; `core` is its enforceable equivalent (`json_schema.normalise`), and stands for the
    kinds without a schema too. Both are None for text.
    """

    kind: Kind
    schema: dict[str, Any] | bool | None = None
    core: dict[str, Any] | None = None
    name: str = "response"
    strict: bool = False

    @property
    def top(self) -> Top:
        """What an answer of no characters at all is closed to."""
        branches = [self.core or {}]
        while "anyOf" in branches[0]:
            branches = branches[0]["anyOf"]
        kind = branches[0].get("type")
        return kind if kind in ("object", "array") else "value"


def parse_response_format(value: Any) -> ResponseFormat | None:
    """The format of a request's `response_format`; None where it has none.

    Raises InvalidRequest with the exact path, also for a schema that no engine can enforce.
    """
    if value is None:
        return None
    fields: Mapping[str, Any] = {"type": "json"} if value == "json" else value
    if not isinstance(fields, Mapping):
        raise wrong_field(_PARAM, _SPELLINGS, value)
    match fields.get("type"):
        case "text":
            return ResponseFormat(kind="text")
        case "json" | "json_object" as kind:
            if fields.get("schema") is None:
                return ResponseFormat(kind=kind, core=_CORES[kind])
            return _of_schema(fields["schema"], param=f"{_PARAM}.schema")
        case "json_schema":
            return _of_json_schema(fields.get("json_schema"))
        case other:
            raise wrong_field(f"{_PARAM}.type", "text, json, json_object or json_schema", other)


def engine_response_format(fmt: ResponseFormat | None, *, dialect: Dialect) -> dict[str, Any]:
    """The fields that the engine's body needs for this format; none for text.

    llama.cpp gets our own grammar: its schema converter is silent about what it does not enforce (a number's bounds,
    uniqueItems, a `.` that runs over the closing quote). vLLM gets the core as OpenAI's `response_format`, the one
    spelling that all its versions have: `guided_json` went with 0.12, and its heir `structured_outputs` holds the same.
    Which back end enforces it is since then the server's to say, not a request's: docs/decisions/0016-own-grammar.md.
    """
    if fmt is None or fmt.core is None:
        return {}
    if dialect == "llama.cpp":
        return {"grammar": grammar_of(fmt.core)}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": fmt.name, "schema": fmt.core}}}


def with_urls_of(fmt: ResponseFormat, urls: Sequence[str]) -> ResponseFormat:
    """The format with these as the only URLs that its `format: uri` strings can hold; as it is where that can't be."""
    schema = with_found_urls(fmt.schema, urls)
    if not urls or schema == fmt.schema:
        return fmt
    try:
        return replace(fmt, core=normalise(schema, param=_PARAM))
    except InvalidRequest:
        return fmt


def _of_json_schema(spec: Any) -> ResponseFormat:
    param = f"{_PARAM}.json_schema"
    if not isinstance(spec, Mapping):
        raise wrong_field(param, "an object with name and schema", spec)
    name, strict = spec.get("name", "response"), spec.get("strict")
    if not isinstance(name, str):
        raise wrong_field(f"{param}.name", "a string", name)
    if not (strict is None or isinstance(strict, bool)):
        raise wrong_field(f"{param}.strict", "true or false", strict)
    return _of_schema(spec.get("schema"), param=f"{param}.schema", name=name, strict=bool(strict))


def _of_schema(schema: Any, *, param: str, name: str = "response", strict: bool = False) -> ResponseFormat:
    core = normalise(schema, param=param)
    return ResponseFormat(kind="json_schema", schema=schema, core=core, name=name, strict=strict)
