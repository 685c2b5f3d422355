"""The other end of the outbox: what its messages hold."""

from __future__ import annotations

from pydantic import TypeAdapter

from gateway.domain.usage import Settlement

_FORM = TypeAdapter(Settlement)


def read_message(body: str) -> Settlement:
    """The settlement in a message's body. Raises ValueError for anything else."""
    return _FORM.validate_json(body)
