"""Tools of models whose template has some (`native_tools` in the catalogue): the engine's own fields and deltas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.domain.engine import CallPiece
from gateway.domain.json_closer import JsonCloser
from gateway.domain.shaping import Delta
from gateway.domain.tools import ToolPlan


def native_fields(plan: ToolPlan) -> dict[str, Any]:
    """The fields of an engine's body for this plan, the same for both engines.

    A named tool goes alone and required: llama.cpp reads `tool_choice` as a word only, and takes others for `auto`.
    """
    return {
        "tools": [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in plan.callable_tools
        ],
        "tool_choice": "auto" if plan.choice == "auto" else "required",
        "parallel_tool_calls": plan.parallel,
    }


class NativeToolShaper:
    """A `Shaper` that also takes the engine's calls: text and calls as they come, in OpenAI's shape.

    `new_id` gives an id to a call that the engine gave none.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._arguments: dict[int, JsonCloser] = {}

    def feed(self, text: str) -> list[Delta]:
        """See `Shaper.feed`."""
        return [{"content": text}] if text else []

    def feed_calls(self, pieces: Sequence[CallPiece]) -> list[Delta]:
        """The deltas of these pieces of calls; a piece of a call that has no name yet is nothing to a client."""
        return [delta for piece in pieces for delta in self._call(piece)]

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        """The last deltas and the finish_reason: `tool_calls` for whole calls, `length` for a cut one."""
        if not self._arguments:
            return [], "stop" if reason == "tool_calls" else reason
        deltas: list[Delta] = []
        cut = reason == "length"
        for index, arguments in self._arguments.items():
            if closing := arguments.closing():
                deltas.append(_arguments_delta(index, closing))
                cut = cut or closing != "{}"
        return deltas, "length" if cut else "tool_calls"

    def _call(self, piece: CallPiece) -> list[Delta]:
        if piece.index in self._arguments:
            self._arguments[piece.index].feed(piece.arguments)
            return [_arguments_delta(piece.index, piece.arguments)] if piece.arguments else []
        if not piece.name:
            return []
        self._arguments[piece.index] = JsonCloser("object")
        self._arguments[piece.index].feed(piece.arguments)
        function = {"name": piece.name, "arguments": piece.arguments}
        head = {"index": piece.index, "id": piece.id or self._new_id(), "type": "function", "function": function}
        return [{"tool_calls": [head]}]


def _arguments_delta(index: int, text: str) -> Delta:
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
