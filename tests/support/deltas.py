"""The message that a choice's deltas add up to, as the product folds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.domain.answer import ChoiceFold, Piece
from gateway.domain.shaping import Delta


def fold(deltas: Iterable[Delta]) -> dict[str, Any]:
    """The assistant's message."""
    choice = ChoiceFold(0)
    for delta in deltas:
        choice.add(Piece(0, delta))
    message: dict[str, Any] = choice.to_json("chat")["message"]
    return message
