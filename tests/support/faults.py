"""Ports that fail: the n-th call over all of them, or every call of a kind, before or after it took effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.domain.errors import ServerError, ServiceUnavailable, Unsettled

When = Literal["before", "after"]


def _out_of_reach() -> Exception:
    return ServiceUnavailable("The request could not be recorded.", reason="ledger_unavailable", retry_after_s=2)


PROMISED: dict[str, Callable[[], Exception]] = {
    "admit": _out_of_reach,
    "claim_quota_event": _out_of_reach,
    "settle": lambda: Unsettled("settle"),
    "put": lambda: Unsettled("put"),
    "take": _out_of_reach,
    "join": _out_of_reach,
    "look": _out_of_reach,
    "take_turn": _out_of_reach,
    "leave": _out_of_reach,
    "want": _out_of_reach,
    "remove_dead": _out_of_reach,
    "open": lambda: ServerError(reason="engine_failed"),
    "read": lambda: ServerError(reason="stream_broken"),
}
"""What each call may raise, as `ports` promises."""


@dataclass
class Faults:
    """Which calls fail. `calls` are the names of all calls made, in order; `failed` of those that failed."""

    at: int | None = None
    every: frozenset[str] = frozenset()
    when: When = "before"
    calls: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def on(self, port: Any) -> Any:
        """`port`, failing by this plan."""
        return _Faulty(port, self)

    def _fails(self, name: str) -> bool:
        self.calls.append(name)
        if len(self.calls) - 1 != self.at and name not in self.every:
            return False
        self.failed.append(name)
        return True


class _Faulty:
    def __init__(self, port: Any, faults: Faults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name not in PROMISED:
            return attribute

        async def call(*arguments: Any, **options: Any) -> Any:
            fails = self._faults._fails(name)
            if fails and self._faults.when == "before":
                raise PROMISED[name]()
            result = await attribute(*arguments, **options)
            if fails:
                raise PROMISED[name]()
            return _Faulty(result, self._faults) if name == "open" else result

        return call
