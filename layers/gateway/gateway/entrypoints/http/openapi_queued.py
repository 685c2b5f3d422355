"""The part of the OpenAPI document about queued work: jobs, files and batches."""

from __future__ import annotations

from typing import Any

from gateway.domain.batches import COMPLETION_WINDOW, ENDPOINTS
from gateway.entrypoints.http.openapi_parts import (
    ACCOUNT_ERRORS,
    COUNT,
    NULLABLE_STRING,
    OBJECT,
    STRING,
    object_of,
    operation,
    path_id,
    ref,
)
from gateway.entrypoints.http.paging import DEFAULT_LIMIT, MAX_LIMIT

_CHANGING = (400, *ACCOUNT_ERRORS, 413)
_LISTING = (400, *ACCOUNT_ERRORS)


def queued_paths() -> dict[str, Any]:
    """The paths."""
    return {
        "/v1/jobs": {
            "post": operation(
                "createJob",
                "Takes a request now and answers it later.",
                body="NewJob",
                answer="Job",
                status="202",
                errors=_CHANGING,
                then=("showJob", "cancelJob"),
            )
        },
        "/v1/jobs/{id}": {
            "parameters": [path_id("The id of a job.")],
            "get": operation("showJob", "Shows a job, with its answer once it has one.", answer="Job"),
            "delete": operation(
                "cancelJob", "Cancels a job. The answer of one that runs is dropped and not charged.", answer="Job"
            ),
        },
        "/v1/files": {
            "post": _create_file(),
            "get": _paged(operation("listFiles", "Lists the files, newest first.", answer="FileList", errors=_LISTING)),
        },
        "/v1/files/{id}": {
            "parameters": [path_id("The id of a file.")],
            "get": operation("showFile", "Shows a file.", answer="File"),
            "delete": operation("deleteFile", "Deletes a file.", answer="DeletedFile"),
        },
        "/v1/files/{id}/content": {
            "parameters": [path_id("The id of a file.")],
            "get": _read_file(),
        },
        "/v1/batches": {
            "post": operation(
                "createBatch",
                "Runs every line of a file as a request.",
                body="NewBatch",
                answer="Batch",
                errors=_CHANGING,
                then=("showBatch", "cancelBatch"),
            ),
            "get": _paged(
                operation("listBatches", "Lists the batches, newest first.", answer="BatchList", errors=_LISTING)
            ),
        },
        "/v1/batches/{id}": {
            "parameters": [path_id("The id of a batch.")],
            "get": operation("showBatch", "Shows a batch with its counts.", answer="Batch"),
        },
        "/v1/batches/{id}/cancel": {
            "parameters": [path_id("The id of a batch.")],
            "post": operation(
                "cancelBatch",
                "Cancels the lines that wait; those that run still end.",
                answer="Batch",
                errors=(400, *ACCOUNT_ERRORS),
            ),
        },
    }


def _create_file() -> dict[str, Any]:
    described = operation(
        "createFile",
        "Uploads a JSONL file; one too large for a form is announced as JSON and put at `upload_url`.",
        body="NewFile",
        answer="File",
        errors=_CHANGING,
        then=("showFile", "readFile", "deleteFile"),
    )
    described["responses"]["200"]["links"]["createBatch"] = {
        "operationId": "createBatch",
        "requestBody": {
            "input_file_id": "$response.body#/id",
            "endpoint": ENDPOINTS[0],
            "completion_window": COMPLETION_WINDOW,
        },
    }
    described["requestBody"]["content"]["multipart/form-data"] = {"schema": ref("FileForm")}
    return described


def _read_file() -> dict[str, Any]:
    described = operation("readFile", "The bytes of a file; of a large one, a redirect to them.", answer="FileContent")
    described["responses"]["200"]["content"] = {"application/jsonl": {"schema": ref("FileContent")}}
    described["responses"]["302"] = {
        "description": "The bytes are there.",
        "headers": {"location": {"schema": STRING}},
    }
    return described


def _paged(described: dict[str, Any]) -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return described | {
        "parameters": [
            {"name": "limit", "in": "query", "description": "The most entries of a page.", "schema": limit},
            {"name": "after", "in": "query", "description": "The last id of the page before.", "schema": STRING},
        ]
    }


def _list_of(name: str) -> dict[str, Any]:
    return object_of(
        {
            "object": {"const": "list"},
            "data": {"type": "array", "items": ref(name)},
            "first_id": NULLABLE_STRING,
            "last_id": NULLABLE_STRING,
            "has_more": {"type": "boolean"},
        }
    )


_TIME = {"type": "integer", "description": "Unix seconds."}
_NULLABLE_TIME = {"type": ["integer", "null"], "description": "Unix seconds."}
_ENDPOINT = {"enum": list(ENDPOINTS)}
_METADATA = {"type": "object", "maxProperties": 16, "additionalProperties": STRING}
_BATCH_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")

QUEUED_SCHEMAS: dict[str, Any] = {
    "NewJob": {
        "type": "object",
        "description": "A body of `endpoint`, and beside its fields:",
        "required": ["model"],
        "properties": {
            "model": {"type": "string", "minLength": 1, "maxLength": 256},
            "endpoint": {**_ENDPOINT, "default": ENDPOINTS[0]},
            "callback_url": {
                "type": ["string", "null"],
                "maxLength": 2048,
                "pattern": r"^https://[A-Za-z0-9.-]*[A-Za-z0-9](:(443|8443))?(/[!-~]*)?$",
                "description": "Where the job's end is told.",
            },
            "metadata": _METADATA,
        },
    },
    "Job": object_of(
        {
            "id": STRING,
            "object": {"const": "job"},
            "status": {"enum": ["queued", "running", "succeeded", "failed", "cancelled", "expired"]},
            "endpoint": _ENDPOINT,
            "model": STRING,
            "created": _TIME,
            "started": _NULLABLE_TIME,
            "ended": _NULLABLE_TIME,
            "expires": _TIME,
            "callback_url": NULLABLE_STRING,
            "metadata": _METADATA,
            "result": {"type": ["object", "null"], "description": "The answer, if it is small."},
            "error": {"type": ["object", "null"]},
        },
        optional={"result_url": {**NULLABLE_STRING, "description": "A link to a large answer, for an hour."}},
    ),
    "NewFile": object_of(
        {"filename": {"type": "string", "minLength": 1, "maxLength": 255}, "purpose": {"const": "batch"}}
    ),
    "FileForm": object_of({"purpose": {"const": "batch"}, "file": {"type": "string", "format": "binary"}}),
    "FileContent": {"type": "string", "description": "JSON Lines."},
    "File": object_of(
        {
            "id": STRING,
            "object": {"const": "file"},
            "bytes": COUNT,
            "created_at": _TIME,
            "expires_at": _TIME,
            "filename": STRING,
            "purpose": {"enum": ["batch", "batch_output"]},
            "status": {"enum": ["uploaded", "processed"]},
        },
        optional={"upload_url": STRING, "upload_content_type": STRING},
    ),
    "FileList": _list_of("File"),
    "DeletedFile": object_of({"id": STRING, "object": {"const": "file"}, "deleted": {"const": True}}),
    "NewBatch": object_of(
        {
            "input_file_id": {"type": "string", "minLength": 1, "maxLength": 64},
            "endpoint": _ENDPOINT,
            "completion_window": {"const": COMPLETION_WINDOW},
        },
        optional={"metadata": _METADATA},
    ),
    "Batch": object_of(
        {
            "id": STRING,
            "object": {"const": "batch"},
            "endpoint": _ENDPOINT,
            "input_file_id": STRING,
            "completion_window": {"const": COMPLETION_WINDOW},
            "status": {
                "enum": [
                    "validating",
                    "failed",
                    "in_progress",
                    "finalizing",
                    "completed",
                    "expired",
                    "cancelling",
                    "cancelled",
                ]
            },
            "output_file_id": NULLABLE_STRING,
            "error_file_id": NULLABLE_STRING,
            "errors": {"anyOf": [OBJECT, {"type": "null"}]},
            "created_at": _TIME,
            "expires_at": _TIME,
            **{f"{name}_at": _NULLABLE_TIME for name in _BATCH_TIMES},
            "request_counts": object_of({"total": COUNT, "completed": COUNT, "failed": COUNT}),
            "metadata": _METADATA,
        }
    ),
    "BatchList": _list_of("Batch"),
}
