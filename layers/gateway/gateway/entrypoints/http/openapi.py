"""The OpenAPI document of all routes, whichever function serves them. Made from the models that parse requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.domain.chat import ChatRequest, CompletionRequest

_ERROR_STATUSES = {
    400: "The request breaks a rule; `param` names the field.",
    401: "The key is missing or not valid.",
    403: "The key is not allowed this.",
    404: "There is no such thing.",
    413: "The body is over the limit.",
    429: "Over a limit of the plan; see `Retry-After`.",
    500: "The server failed.",
    503: "Nothing can take the request now; see `Retry-After`.",
    504: "The model did not answer in time.",
}
_GENERATION_ERRORS = tuple(_ERROR_STATUSES)
_ACCOUNT_ERRORS = (401, 403, 404, 500, 503)


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
            "post": _operation(
                "createChatCompletion",
                "Answers a conversation, whole or as a stream of server-sent events.",
                body="ChatRequest",
                answer="ChatCompletion",
                stream="ChatCompletionChunk",
                errors=_GENERATION_ERRORS,
            )
        },
        "/v1/completions": {
            "post": _operation(
                "createCompletion",
                "Answers one or more prompts as text (legacy).",
                body="CompletionRequest",
                answer="TextCompletion",
                stream="TextCompletion",
                errors=_GENERATION_ERRORS,
            )
        },
        "/v1/models": {
            "get": _operation("listModels", "Lists the models with their prices and state.", answer="ModelList")
        },
        "/v1/models/{id}": {
            "parameters": [_path_id("The id of a model.")],
            "get": _operation("showModel", "Shows one model.", answer="Model"),
        },
        "/v1/usage": {
            "get": _operation("showUsage", "The account's tokens today, this week and this month.", answer="Usage")
        },
        "/v1/keys": {
            "get": _operation("listKeys", "Lists the account's keys (scope `admin`).", answer="KeyList"),
            "post": _operation(
                "createKey",
                "Makes a key (scope `admin`); its text is shown this once.",
                body="NewKey",
                answer="CreatedKey",
                status="201",
                errors=(400, *_ACCOUNT_ERRORS, 413),
            ),
        },
        "/v1/keys/{id}": {
            "parameters": [_path_id("The id of a key.")],
            "get": _operation("showKey", "Shows one key (scope `admin`).", answer="Key"),
            "delete": _operation("deleteKey", "Deletes a key; its usage history stays.", answer="DeletedKey"),
        },
        "/v1/keys/{id}/disable": {
            "parameters": [_path_id("The id of a key.")],
            "post": _operation("disableKey", "Disables a key, effective on the next request.", answer="Key"),
        },
        "/v1/keys/{id}/enable": {
            "parameters": [_path_id("The id of a key.")],
            "post": _operation("enableKey", "Enables a key.", answer="Key"),
        },
        "/health": {
            "get": _operation("showHealth", "Whether the service is up; needs no key.", answer="Health", errors=(500,))
            | {"security": []}
        },
    }


def _operation(
    id_: str,
    summary: str,
    *,
    answer: str,
    body: str | None = None,
    stream: str | None = None,
    status: str = "200",
    errors: tuple[int, ...] = _ACCOUNT_ERRORS,
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _ref(answer)}}
    if stream is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}, "itemSchema": _ref(stream)}
    operation: dict[str, Any] = {
        "operationId": id_,
        "summary": summary,
        "responses": {
            status: {"description": "Done.", "content": content},
            **{
                str(code): {
                    "description": _ERROR_STATUSES[code],
                    "content": {"application/json": {"schema": _ref("Error")}},
                }
                for code in errors
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _path_id(description: str) -> dict[str, Any]:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (ChatRequest, CompletionRequest):
        _add_model(schemas, model)
    return schemas | _ANSWERS


def _add_model(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


def _object(properties: dict[str, Any], *, optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": {**properties, **(optional or {})}}


_STRING = {"type": "string"}
_NULLABLE_STRING = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number", "minimum": 0}
_OBJECT = {"type": "object"}
_USAGE = _object({"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT, "cost": _NUMBER})
_KEY_FIELDS: dict[str, Any] = {
    "id": _STRING,
    "object": {"const": "key"},
    "name": _STRING,
    "enabled": {"type": "boolean"},
    "scopes": {"type": "array", "items": {"enum": ["admin", "chat"]}},
    "created": {"type": "integer"},
}
_TOTALS: dict[str, Any] = {
    "requests": _COUNT,
    "errors": _COUNT,
    "error_rate": _NUMBER,
    "prompt_tokens": _COUNT,
    "completion_tokens": _COUNT,
    "total_tokens": _COUNT,
    "cost": _NUMBER,
}
_GROUP = {"type": "object", "additionalProperties": _object(_TOTALS)}
_PERIOD = _object(
    {
        **_TOTALS,
        "billed": _NUMBER,
        "from": _STRING,
        "to": _STRING,
        "keys": _GROUP,
        "models": _GROUP,
        "endpoints": _GROUP,
    }
)


def _answer(object_: str, choice: dict[str, Any], *, usage: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "id": _STRING,
        "object": {"const": object_},
        "created": {"type": "integer"},
        "model": _STRING,
        "choices": {"type": "array", "items": choice},
    }
    return _object(fields, optional={"usage": usage})


_ANSWERS: dict[str, Any] = {
    "Error": _object(
        {
            "error": _object(
                {"message": _STRING, "type": _STRING, "code": {"type": "integer"}, "param": _NULLABLE_STRING},
                optional={"reason": _STRING},
            )
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "ChatCompletion": _answer(
        "chat.completion",
        _object(
            {
                "index": _COUNT,
                "message": _object(
                    {"role": {"const": "assistant"}, "content": _NULLABLE_STRING},
                    optional={"tool_calls": {"type": "array", "items": _OBJECT}},
                ),
                "finish_reason": _STRING,
            },
            optional={"logprobs": {"type": ["object", "null"]}},
        ),
        usage=_USAGE,
    ),
    "ChatCompletionChunk": _answer(
        "chat.completion.chunk",
        _object({"index": _COUNT, "delta": _OBJECT, "finish_reason": _NULLABLE_STRING}),
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "TextCompletion": _answer(
        "text_completion",
        _object({"text": _STRING, "index": _COUNT, "finish_reason": _NULLABLE_STRING}),
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "Model": _object(
        {
            "id": _STRING,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": _STRING,
            "type": {"const": "chat"},
            "name": _STRING,
            "description": _STRING,
            "context_length": _COUNT,
            "max_completion_tokens": _COUNT,
            "input_modalities": {"type": "array", "items": _STRING},
            "pricing": _OBJECT,
            "status": {"enum": ["ready", "warming", "off"]},
        }
    ),
    "ModelList": _object({"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}}),
    "Usage": _object(
        {
            "object": {"const": "usage"},
            "account": _STRING,
            "plan": _STRING,
            "limits": _OBJECT,
            "open_requests": _COUNT,
            "reserved_tokens": _COUNT,
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
    "Key": _object(_KEY_FIELDS),
    "CreatedKey": _object({**_KEY_FIELDS, "key": _STRING}),
    "DeletedKey": _object({"id": _STRING, "object": {"const": "key"}, "deleted": {"const": True}}),
    "KeyList": _object({"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Key")}}),
}
