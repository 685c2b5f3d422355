"""Lists in OpenAI's shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from gateway.domain.errors import InvalidRequest

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def read_page(request: Request) -> tuple[int, str | None]:
    """`limit` and `after` of the query. Raises InvalidRequest."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    # three digits at most: int() raises ValueError for thousands of them
    if re.fullmatch(r"[0-9]{1,3}", text) is None or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidRequest(f"'limit' must be an integer from 1 to {MAX_LIMIT}.", param="limit")
    return int(text), request.query_params.get("after") or None


def page(data: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page of a list."""
    return {
        "object": "list",
        "data": list(data),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": more,
    }
