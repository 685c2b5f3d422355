"""Log probabilities as OpenAI tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST_ASKED = 1
"""llama.cpp tells nothing at all where it is asked for no alternatives."""

_FIELDS = ("token", "logprob", "bytes")


def told_logprobs(logprobs: Mapping[str, Any], *, alternatives: int) -> dict[str, Any]:
    """An engine's `logprobs` in OpenAI's fields, with at most so many alternatives for each token.

    Raises KeyError, TypeError or AttributeError where it is not in OpenAI's form.
    """
    content = [
        _told(token) | {"top_logprobs": [_told(other) for other in token["top_logprobs"][:alternatives]]}
        for token in logprobs.get("content") or ()
    ]
    return {"content": content}


def _told(token: Mapping[str, Any]) -> dict[str, Any]:
    return {name: token[name] for name in _FIELDS}
