"""What a play of the line shows: each request's fate, and what the slots did meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import quantiles

BURST = "burst"
"""The account that bursts; the others are steady."""
WRITES = ("take", "join", "take_turn", "leave")
READS = ("look",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One request: how long until it had a slot or was refused, and what it was told then."""

    account: str
    at_s: float
    waited_s: float
    refused: str | None = None
    """The reason of its refusal."""
    retry_after_s: int | None = None


@dataclass(slots=True)
class Seen:
    """What came of a scene."""

    fates: dict[str, Fate] = field(default_factory=dict)
    """By request id; the same request has the same id with and without bursts."""
    calls: Counter[str] = field(default_factory=Counter)
    expected_s: dict[str, int] = field(default_factory=dict)
    """What a refusal would have told each request to wait when it joined the line."""
    most_running: int = 0
    dead: int = 0
    longest_dead_s: float = 0.0
    """The longest that a dead process's slot stayed taken past its lease."""
    longest_dead_before_a_waiter_s: float = 0.0
    """The longest that it did so while somebody waited."""
    idle_s: float = 0.0
    """Seconds of slots that were free while as many waited."""
    left_over: int = 0
    """Who held or waited when all was over."""

    def of(self, account: str) -> list[Fate]:
        """One account's requests."""
        return [fate for fate in self.fates.values() if fate.account == account]

    @property
    def steady(self) -> list[Fate]:
        """The requests of every account but the one that bursts."""
        return [fate for fate in self.fates.values() if fate.account != BURST]

    @property
    def accounts(self) -> list[str]:
        """Who asked, steady accounts first, by number."""
        names = {fate.account for fate in self.fates.values()}
        return sorted(names, key=lambda name: (name == BURST, len(name), name))

    @property
    def served(self) -> int:
        """Requests that had a slot."""
        return len(waits(self.fates.values()))


def waits(fates: Iterable[Fate]) -> list[float]:
    """The waits of those that had a slot in the end; refused ones are counted apart."""
    return [fate.waited_s for fate in fates if fate.refused is None]


def refused_share(fates: Iterable[Fate]) -> float:
    """The share of requests that were refused."""
    all_fates = list(fates)
    return sum(fate.refused is not None for fate in all_fates) / len(all_fates)


def soon_after(bursts_s: Iterable[float], within_s: float) -> Callable[[Fate], bool]:
    """Whether a request came within so many seconds after one of the bursts."""
    begins = list(bursts_s)
    return lambda fate: any(begin_s <= fate.at_s < begin_s + within_s for begin_s in begins)


def percentile(values: list[float], percent: int) -> float:
    """A percentile of at least two values, seconds."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def calls_of_a_request(seen: Seen) -> Mapping[str, float]:
    """Writes and reads of the model's item for each request that was served or refused."""
    asked = len(seen.fates)
    return {
        "writes": sum(seen.calls[name] for name in WRITES) / asked,
        "reads": sum(seen.calls[name] for name in READS) / asked,
    }
