"""Why the local stack cannot start, or go on."""

from __future__ import annotations


class CannotStart(Exception):
    """A reason in one sentence, for the person who started the stack."""
