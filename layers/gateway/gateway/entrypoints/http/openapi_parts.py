"""What the OpenAPI document is made of: operations, parameters and plain schemas."""

from __future__ import annotations

from typing import Any

ERROR_STATUSES = {
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
GENERATION_ERRORS = tuple(ERROR_STATUSES)
ACCOUNT_ERRORS = (401, 403, 404, 500, 503)


def operation(
    id_: str,
    summary: str,
    *,
    answer: str,
    body: str | None = None,
    stream: str | None = None,
    status: str = "200",
    errors: tuple[int, ...] = ACCOUNT_ERRORS,
    then: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An operation whose bodies are these schemas. The answer's `id` is what the operations in `then` take."""
    content: dict[str, Any] = {"application/json": {"schema": ref(answer)}}
    if stream is not None:
        content["text/event-stream"] = {"itemSchema": ref(stream)}
    described: dict[str, Any] = {
        "operationId": id_,
        "summary": summary,
        "responses": {
            status: {"description": "Done.", "content": content},
            **{
                str(code): {
                    "description": ERROR_STATUSES[code],
                    "content": {"application/json": {"schema": ref("Error")}},
                }
                for code in errors
            },
        },
    }
    if then:
        described["responses"][status]["links"] = {
            id_: {"operationId": id_, "parameters": {"id": "$response.body#/id"}} for id_ in then
        }
    if body is not None:
        content = {"application/json": {"schema": ref(body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def without_need(described: dict[str, Any]) -> dict[str, Any]:
    """The operation, whose body may also be left out."""
    return described | {"requestBody": {**described["requestBody"], "required": False}}


def path_id(description: str) -> dict[str, Any]:
    """The `{id}` of a path."""
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"},
    }


def ref(name: str) -> dict[str, str]:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: dict[str, Any], *, optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object that has these properties, and may have the optional ones."""
    return {"type": "object", "required": list(properties), "properties": {**properties, **(optional or {})}}


STRING = {"type": "string"}
NULLABLE_STRING = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
NUMBER = {"type": "number", "minimum": 0}
OBJECT = {"type": "object"}
