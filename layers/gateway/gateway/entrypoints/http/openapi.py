"""The OpenAPI document of all routes, whichever function serves them. Made from the models that parse requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.domain.chat import EXPECTED, REFUSED_COMPLETION_FIELDS, ChatRequest, CompletionRequest
from gateway.entrypoints.http.openapi_chat import CHAT_SCHEMAS, refused, spell_out
from gateway.entrypoints.http.openapi_parts import (
    ACCOUNT_ERRORS,
    COUNT,
    GENERATION_ERRORS,
    NULLABLE_STRING,
    NUMBER,
    OBJECT,
    STRING,
    object_of,
    operation,
    path_id,
    ref,
    without_need,
)
from gateway.entrypoints.http.openapi_queued import QUEUED_SCHEMAS, queued_paths


def describe_api() -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "StudioLM Chat Completions API",
            "version": "1",
            "description": "OpenAI-compatible chat completions from quantized open models.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, sk-…"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {
            "post": operation(
                "createChatCompletion",
                "Answers a conversation, whole or as a stream of server-sent events.",
                body="ChatRequest",
                answer="ChatCompletion",
                stream="ChatCompletionChunk",
                errors=GENERATION_ERRORS,
            )
        },
        "/v1/completions": {
            "post": operation(
                "createCompletion",
                "Answers one or more prompts as text (legacy).",
                body="CompletionRequest",
                answer="TextCompletion",
                stream="TextCompletion",
                errors=GENERATION_ERRORS,
            )
        },
        "/v1/models": {
            "get": operation("listModels", "Lists the models with their prices and state.", answer="ModelList")
        },
        "/v1/models/{id}": {
            "parameters": [path_id("The id of a model.")],
            "get": operation("showModel", "Shows one model.", answer="Model"),
        },
        "/v1/usage": {
            "get": operation("showUsage", "The account's tokens today, this week and this month.", answer="Usage")
        },
        "/v1/keys": {
            "get": operation("listKeys", "Lists the account's keys (scope `admin`).", answer="KeyList"),
            "post": without_need(
                operation(
                    "createKey",
                    "Makes a key (scope `admin`); its text is shown this once.",
                    body="NewKey",
                    answer="CreatedKey",
                    status="201",
                    errors=(400, *ACCOUNT_ERRORS, 413),
                    then=("showKey", "deleteKey", "disableKey", "enableKey"),
                )
            ),
        },
        "/v1/keys/{id}": {
            "parameters": [path_id("The id of a key.")],
            "get": operation("showKey", "Shows one key (scope `admin`).", answer="Key"),
            "delete": operation("deleteKey", "Deletes a key; its usage history stays.", answer="DeletedKey"),
        },
        "/v1/keys/{id}/disable": {
            "parameters": [path_id("The id of a key.")],
            "post": operation("disableKey", "Disables a key, effective on the next request.", answer="Key"),
        },
        "/v1/keys/{id}/enable": {
            "parameters": [path_id("The id of a key.")],
            "post": operation("enableKey", "Enables a key.", answer="Key"),
        },
        **queued_paths(),
        "/health": {
            "get": operation("showHealth", "Whether the service is up; needs no key.", answer="Health", errors=(500,))
            | {"security": []}
        },
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (ChatRequest, CompletionRequest):
        _add_model(schemas, model)
    schemas["CompletionRequest"]["properties"] |= refused(REFUSED_COMPLETION_FIELDS)
    schemas["ChatRequest"] = spell_out(schemas["ChatRequest"])
    return schemas | CHAT_SCHEMAS | _ANSWERS | QUEUED_SCHEMAS


def _add_model(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    for name in schema["properties"].keys() & EXPECTED.keys():
        # the words that a refusal uses too
        field = schema["properties"][name]
        field.setdefault("description", f"{EXPECTED[name][0].upper()}{EXPECTED[name][1:]}.")
    schemas[model.__name__] = schema


_USAGE = object_of({"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT, "cost": NUMBER})
_KEY_FIELDS: dict[str, Any] = {
    "id": STRING,
    "object": {"const": "key"},
    "name": STRING,
    "enabled": {"type": "boolean"},
    "scopes": {"type": "array", "items": {"enum": ["admin", "chat"]}},
    "created": {"type": "integer"},
}
_TOTALS: dict[str, Any] = {
    "requests": COUNT,
    "errors": COUNT,
    "error_rate": NUMBER,
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "total_tokens": COUNT,
    "cost": NUMBER,
}
_GROUP = {"type": "object", "additionalProperties": object_of(_TOTALS)}
_PERIOD = object_of(
    {
        **_TOTALS,
        "billed": NUMBER,
        "from": STRING,
        "to": STRING,
        "keys": _GROUP,
        "models": _GROUP,
        "endpoints": _GROUP,
    }
)


def _answer(object_: str, choice: dict[str, Any], *, usage: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "id": STRING,
        "object": {"const": object_},
        "created": {"type": "integer"},
        "model": STRING,
        "choices": {"type": "array", "items": choice},
    }
    return object_of(fields, optional={"usage": usage})


_ANSWERS: dict[str, Any] = {
    "Error": object_of(
        {
            "error": object_of(
                {"message": STRING, "type": STRING, "code": {"type": "integer"}, "param": NULLABLE_STRING},
                optional={"reason": STRING},
            )
        }
    ),
    "Health": object_of({"status": {"const": "ok"}}),
    "ChatCompletion": _answer(
        "chat.completion",
        object_of(
            {
                "index": COUNT,
                "message": object_of(
                    {"role": {"const": "assistant"}, "content": NULLABLE_STRING},
                    optional={"tool_calls": {"type": "array", "items": OBJECT}},
                ),
                "finish_reason": STRING,
            },
            optional={"logprobs": {"type": ["object", "null"]}},
        ),
        usage=_USAGE,
    ),
    "ChatCompletionChunk": _answer(
        "chat.completion.chunk",
        object_of({"index": COUNT, "delta": OBJECT, "finish_reason": NULLABLE_STRING}),
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "TextCompletion": _answer(
        "text_completion",
        object_of({"text": STRING, "index": COUNT, "finish_reason": NULLABLE_STRING}),
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "Model": object_of(
        {
            "id": STRING,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": STRING,
            "type": {"const": "chat"},
            "name": STRING,
            "description": STRING,
            "context_length": COUNT,
            "max_completion_tokens": COUNT,
            "input_modalities": {"type": "array", "items": STRING},
            "pricing": OBJECT,
            "status": {"enum": ["ready", "warming", "off"]},
        }
    ),
    "ModelList": object_of({"object": {"const": "list"}, "data": {"type": "array", "items": ref("Model")}}),
    "Usage": object_of(
        {
            "object": {"const": "usage"},
            "account": STRING,
            "plan": STRING,
            "limits": OBJECT,
            "open_requests": COUNT,
            "reserved_tokens": COUNT,
            "today": _PERIOD,
            "week": _PERIOD,
            "month": _PERIOD,
        }
    ),
    "NewKey": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 64, "default": "key"},
            "scopes": {
                "type": "array",
                "minItems": 1,
                "maxItems": 2,
                "items": {"enum": ["chat", "admin"]},
                "default": ["chat"],
            },
            "replaces": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": 64,
                "description": "The id of the key whose place the new one takes, in one step.",
            },
        },
    },
    "Key": object_of(_KEY_FIELDS),
    "CreatedKey": object_of({**_KEY_FIELDS, "key": STRING}),
    "DeletedKey": object_of({"id": STRING, "object": {"const": "key"}, "deleted": {"const": True}}),
    "KeyList": object_of({"object": {"const": "list"}, "data": {"type": "array", "items": ref("Key")}}),
}
