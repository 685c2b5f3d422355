"""Requests as queued work keeps them: a body and the endpoint it was sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from gateway.application.generation import Order
from gateway.application.orders import CHAT, COMPLETIONS, Orders
from gateway.domain.chat import parse_chat_request, parse_completion_request
from gateway.domain.errors import InvalidRequest
from gateway.domain.keys import ApiKey


def order_of(orders: Orders, body: bytes | Mapping[str, Any], *, endpoint: str, key: ApiKey) -> Order:
    """The order that this body makes at this endpoint; queued work is never streamed.

    Raises InvalidRequest, NotFound.
    """
    data = body if isinstance(body, bytes) else to_json(body)
    if endpoint == CHAT:
        chat = parse_chat_request(data)
        _refuse_stream(stream=chat.stream)
        return orders.of_chat(chat, key=key)
    if endpoint == COMPLETIONS:
        completion = parse_completion_request(data)
        _refuse_stream(stream=completion.stream)
        return orders.of_completion(completion, key=key)
    raise InvalidRequest(f"'endpoint' must be {CHAT!r} or {COMPLETIONS!r}.", param="endpoint")


def _refuse_stream(*, stream: bool) -> None:
    if stream:
        raise InvalidRequest("'stream' must be false: a queued request is answered whole.", param="stream")
