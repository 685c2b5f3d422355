"""The line before a model's GPUs: who holds a slot, who waits, and whose turn it is.

One item a model holds it all (DESIGN "The queue at the model"). A slot is taken by a conditional write that never
lets `open` outgrow `slots`; the order of the line is judged here, by every waiter for itself, from the item as it
last saw it. Two waiters that judge from different moments can swap places, never exceed the slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

from gateway.domain.errors import GatewayError, ServiceUnavailable

ModelStatus = Literal["ready", "warming", "off"]

WARMING_RETRY_S = 60
"""From zero copies an instance takes minutes (FACTS "SageMaker"); asking once a minute is honest and cheap."""
OFF_RETRY_S = 300
WANTED_FOR_S = 600
"""Who asked for a model without copies, and was told to retry, is taken to want it for so long."""
WANT_AGAIN_S = 30
"""A want is noted no more often: it is a write on the model's item."""
LOOK_S = (0.1, 2.0)
"""A waiter looks away for no shorter and no longer; a look is one consistent read of the item."""
INTERACTIVE = 0
QUEUED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A request that holds a slot until `deadline_s` at the latest."""

    request_id: str
    account_id: str
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A request in the line. `rank` is INTERACTIVE or QUEUED: queued work goes after all interactive."""

    request_id: str
    account_id: str
    since_s: float
    deadline_s: float
    rank: int = INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A model's slots and its line as its item says at one moment. `service_s` is the recent mean time of a slot."""

    model: str
    status: ModelStatus
    copies: int
    slots: int
    service_s: float
    open: Mapping[str, Holder]
    waiting: Mapping[str, Waiter]
    wanted_s: float = 0.0
    """When somebody last asked for it in vain."""
    turns: Mapping[str, float] = field(default_factory=dict)
    """For each account that had a turn of late, the deadline that its last one got: later turns have later ones."""
    served: int = 0
    """How many slots `service_s` is the mean of."""

    def is_wanted(self, now_s: float) -> bool:
        """Whether a copy would be used."""
        return self.demand > 0 or now_s - self.wanted_s < WANTED_FOR_S

    @property
    def demand(self) -> int:
        """Requests that want a slot, held ones included: what the endpoint scales on."""
        return len(self.open) + len(self.waiting)

    def dead(self, now_s: float) -> list[Holder | Waiter]:
        """Holders and waiters past their deadline: their process died."""
        entries: list[Holder | Waiter] = [*self.open.values(), *self.waiting.values()]
        return [entry for entry in entries if entry.deadline_s <= now_s]

    def order(self, now_s: float) -> list[Waiter]:
        """The living waiters, next first.

        An account's n-th waiter counts as if the slots it holds and its n-1 earlier waiters were served before it,
        and among equals goes whose account had its last turn longest ago: a burst of one account stands behind every
        other account's first request, also at a single slot, and within one account first come is first served.
        """
        held = Counter(holder.account_id for holder in self.open.values() if holder.deadline_s > now_s)
        alive = sorted(
            (waiter for waiter in self.waiting.values() if waiter.deadline_s > now_s),
            key=lambda waiter: (waiter.rank, waiter.since_s, waiter.request_id),
        )
        turns: list[tuple[int, int, float, float, str, Waiter]] = []
        for waiter in alive:
            account = waiter.account_id
            last_s = self.turns.get(account, 0.0)
            turns.append((waiter.rank, held[account], last_s, waiter.since_s, waiter.request_id, waiter))
            held[account] += 1
        return [turn[-1] for turn in sorted(turns, key=lambda turn: turn[:-1])]

    def ahead_of(self, request_id: str, now_s: float) -> int | None:
        """How many slots must come free before it is this waiter's turn: 0 where it is. None for no living waiter."""
        free = max(0, self.slots - len(self.open))
        for place, waiter in enumerate(self.order(now_s)):
            if waiter.request_id == request_id:
                return max(0, place + 1 - free)
        return None

    def look_again_s(self, ahead: int) -> float:
        """How long a waiter before whom so many slots have to come free may look away.

        A free slot that its next holder has not seen is idle: who is next looks away for a twentieth of a slot's time,
        who stands further back for a quarter of the time that its turn will take to come.
        """
        shortest_s, longest_s = LOOK_S
        share = max(1 / 20, ahead / (4 * max(1, self.slots)))
        return min(longest_s, max(shortest_s, self.service_s * share))

    def displaced_by(self, newcomer: Waiter, now_s: float) -> Waiter | None:
        """Who gives its place in a full line to a newcomer: the last of all, or None where that is the newcomer itself.

        So a burst of one account can't fill the line against the others: it is its own last ones that go.
        """
        last = replace(self, waiting={**self.waiting, newcomer.request_id: newcomer}).order(now_s)[-1]
        return None if last.request_id == newcomer.request_id else last

    def places(self, *, wait_s: float, per_slot: int) -> int:
        """How many may wait: who would not come to a slot within `wait_s`, by the recent service time, has no place.

        At most `per_slot` for each slot, for an item has its limits; at least one.
        """
        soon = int(wait_s * self.slots / max(self.service_s, 0.001))
        return max(1, min(soon, self.slots * per_slot))

    def expected_wait_s(self) -> int:
        """Whole seconds until a newcomer would have a slot, from the recent service time; at least 1."""
        ahead = len(self.waiting) + 1 if len(self.open) >= self.slots else 1
        return max(1, ceil(self.service_s * ahead / max(1, self.slots)))

    def refusal(self, *, max_waiting: int) -> GatewayError | None:
        """Why a newcomer can't even wait, or None where it may join the line."""
        if self.status != "ready":
            return not_ready(self.model, self.status)
        return line_full(self) if len(self.waiting) >= max_waiting else None


def not_ready(model: str, status: ModelStatus) -> ServiceUnavailable:
    """The refusal of a model with no copy: being woken, or switched off by the owner."""
    if status == "warming":
        return ServiceUnavailable(
            f"The model '{model}' has no running copy and is being started. Retry later.",
            reason="model_warming",
            retry_after_s=WARMING_RETRY_S,
        )
    return ServiceUnavailable(
        f"The model '{model}' is in the catalogue and not served here. On a local run give its file: "
        f"MODEL_PATHS={model}=/path/to/file.gguf (get it with: .venv/bin/python -m infra.local.pull {model}); "
        "on AWS deploy its endpoint.",
        reason="model_off",
        retry_after_s=OFF_RETRY_S,
    )


def line_full(line: Line) -> ServiceUnavailable:
    """The refusal of a request for which the line has no place, or no longer."""
    return ServiceUnavailable(
        f"All {line.slots} places of the model are taken and {len(line.waiting)} requests wait for one.",
        reason="line_full",
        retry_after_s=line.expected_wait_s(),
    )


def waited_too_long(line: Line) -> ServiceUnavailable:
    """The refusal of a request that stood in the line for as long as it may."""
    return ServiceUnavailable(
        "No place at the model came free in time.",
        reason="line_timeout",
        retry_after_s=line.expected_wait_s(),
    )
