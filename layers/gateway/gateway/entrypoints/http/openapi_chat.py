"""The part of the OpenAPI document that the request models leave open: messages, tools, forms, searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from gateway.domain.chat import REFUSED_CHAT_FIELDS
from gateway.domain.search import Mode
from gateway.domain.search_prompt import MAX_DOMAINS, RESULTS_BY_CONTEXT_SIZE
from gateway.entrypoints.http.openapi_parts import NULLABLE_STRING, OBJECT, STRING, object_of, ref

_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = f"^{_LABEL}([.]{_LABEL})+$"
_TEXT_PART = object_of({"type": {"const": "text"}, "text": STRING})
_IMAGE_PART = object_of({"type": {"const": "image_url"}, "image_url": object_of({"url": STRING})})


def _content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [STRING, {"type": "array", "minItems": 1, "items": {"anyOf": list(parts)}}]}


def _either(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


def _form(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["type", *fields], "properties": {"type": {"const": kind}, **fields}}


CHAT_SCHEMAS: dict[str, Any] = {
    "Message": {
        "anyOf": [
            object_of({"role": _either("system", "developer"), "content": _content(_TEXT_PART)}),
            object_of({"role": {"const": "user"}, "content": _content(_TEXT_PART, _IMAGE_PART)}),
            object_of({"role": {"const": "assistant"}, "content": _content(_TEXT_PART)}),
            object_of(
                {
                    "role": {"const": "assistant"},
                    "tool_calls": {"type": "array", "minItems": 1, "items": ref("ToolCall")},
                },
                optional={"content": {"anyOf": [_content(_TEXT_PART), {"type": "null"}]}},
            ),
            object_of(
                {"role": {"const": "tool"}, "tool_call_id": STRING, "content": _content(_TEXT_PART, _IMAGE_PART)}
            ),
        ]
    },
    "ToolCall": object_of(
        {"id": STRING, "type": {"const": "function"}, "function": object_of({"name": STRING, "arguments": STRING})}
    ),
    "Tool": {
        "anyOf": [
            object_of(
                {
                    "type": {"const": "function"},
                    "function": object_of({"name": _NAME}, optional={"description": STRING, "parameters": OBJECT}),
                }
            ),
            object_of({"type": {"const": "web_search"}}),
        ]
    },
    "ToolChoice": {
        "anyOf": [
            _either("none", "auto", "required"),
            _form("function", function=object_of({"name": _NAME})),
        ]
    },
    "ResponseFormat": {
        "anyOf": [
            _either("json"),
            {"type": "object", "required": ["type"], "properties": {"type": _either("text", "json", "json_object")}},
            _form("json", schema=OBJECT),
            _form("json_schema", json_schema=object_of({"name": STRING, "schema": OBJECT})),
        ]
    },
    "WebSearchOptions": {
        "type": "object",
        "properties": {
            "search_context_size": _either(*RESULTS_BY_CONTEXT_SIZE),
            "language": {"type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$"},
            "freshness_days": {"type": "integer", "minimum": 1},
            "filters": {
                "type": "object",
                "properties": {
                    "allowed_domains": {
                        "type": "array",
                        "maxItems": MAX_DOMAINS,
                        "items": {"type": "string", "pattern": _HOST, "maxLength": 253},
                    }
                },
            },
            "user_location": {
                "type": "object",
                "properties": dict.fromkeys(("city", "region", "country"), NULLABLE_STRING),
            },
        },
    },
}
_FIELDS: dict[str, Any] = {
    "messages": ref("Message"),
    "tools": ref("Tool"),
    "tool_choice": ref("ToolChoice"),
    "response_format": ref("ResponseFormat"),
    "web_search": _either(*get_args(Mode), True, False),
    "web_search_options": ref("WebSearchOptions"),
}


def refused(fields: Mapping[str, str]) -> dict[str, Any]:
    """Properties that are told and not taken."""
    return {name: {"enum": [None, False], "description": f"Refused. {remedy}"} for name, remedy in fields.items()}


def spell_out(chat: dict[str, Any]) -> dict[str, Any]:
    """The schema of a chat request with what its open fields hold; every optional one may also be null."""
    properties = dict(chat["properties"])
    for name, schema in _FIELDS.items():
        before = properties[name]
        if name == "messages":
            properties[name] = {**before, "items": schema}
        elif name == "tools":
            listed = {"type": "array", "maxItems": 128, "items": schema}
            properties[name] = {"anyOf": [listed, {"type": "null"}], "default": None}
        else:
            told = {key: before[key] for key in ("title", "description", "default") if key in before}
            properties[name] = {**told, "anyOf": [schema, {"type": "null"}]}
    modalities = {"modalities": {"enum": [None, ["text"]]}}
    return {**chat, "properties": properties | modalities | refused(REFUSED_CHAT_FIELDS)}
