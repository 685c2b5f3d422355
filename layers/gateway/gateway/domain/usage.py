"""Usage: what one request used, and what an account used in a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from gateway.domain.jobs import JobEnd

Status = Literal["ok", "partial", "failed", "lost"]
"""ok: answered whole. partial: cut after tokens were delivered. failed: an error, nothing delivered.
lost: the process died; its lease was swept and nothing is charged."""
_DAY_S = 86_400

CLIENT_GONE = 499
"""The status recorded where the client left before the end; it never travels and is no error of ours."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts, as the engine counted them."""

    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion together: what quotas count."""
        return self.prompt + self.completion

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one admitted request to run until `deadline_s`, and the tokens reserved for it.

    It is all that is left of a request whose process died, so it names what a `lost` record must say.
    """

    request_id: str
    account_id: str
    key_id: str
    model: str
    endpoint: str
    reserved_tokens: int
    admitted_s: int
    deadline_s: int

    @property
    def day(self) -> str:
        """The UTC day whose quota the request uses, also where it ends past midnight."""
        return day_of(self.admitted_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an admitted request ended. Exactly one is recorded for each lease.

    `cost_nano_usd` is in 10⁻⁹ USD; durations are in milliseconds, None where it never came so far.
    """

    lease: Lease
    status: Status
    http_status: int
    tokens: Tokens
    cost_nano_usd: int
    ended_s: int
    finish_reason: str | None = None
    stream: bool = False
    first_token_ms: int | None = None
    duration_ms: int | None = None
    line_ms: int | None = None
    """How long it stood before the model's slots, whether it got one or not."""

    reason: str | None = None
    """What ended it early: the error's reason, or its type where that says enough."""

    searches: int = 0
    stale: tuple[str, ...] = ()
    """Attributes of days and minutes gone by that admission saw on the account's item; settling removes them."""

    job: JobEnd | None = None
    """The job that this settlement ends in the same transaction."""

    @property
    def tokens_per_s(self) -> float | None:
        """Completion tokens a second from the first to the last, None where there is no such span."""
        if self.first_token_ms is None or self.duration_ms is None or self.duration_ms <= self.first_token_ms:
            return None
        return self.tokens.completion * 1000 / (self.duration_ms - self.first_token_ms)


def lost(lease: Lease, *, now_s: float) -> Settlement:
    """The settlement of a lease whose process died: nothing is charged for what was never delivered."""
    return Settlement(lease=lease, status="lost", http_status=500, tokens=Tokens(), cost_nano_usd=0, ended_s=int(now_s))


def abandoned(lease: Lease, *, now_s: float) -> Settlement:
    """The settlement of a request whose client left before it was known to be admitted."""
    return Settlement(
        lease=lease, status="failed", http_status=CLIENT_GONE, tokens=Tokens(), cost_nano_usd=0, ended_s=int(now_s)
    )


def dropped(settlement: Settlement) -> Settlement:
    """The settlement of a run whose job was cancelled or taken over meanwhile: it is charged nothing."""
    return replace(settlement, status="failed", http_status=CLIENT_GONE, tokens=Tokens(), cost_nano_usd=0, job=None)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over requests."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano_usd: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.requests + other.requests,
            self.errors + other.errors,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_nano_usd + other.cost_nano_usd,
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def error_rate(self) -> float:
        """The share of admitted requests that ended in an error, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0


Dimension = Literal["all", "key", "model", "endpoint"]
Breakdown = Mapping[tuple[Dimension, str], Totals]
"""Totals by dimension and value; the whole stands under `("all", "")`."""


def totals_of(settlement: Settlement) -> Totals:
    """What one settlement adds to each total it belongs to. A gone client is no error."""
    return Totals(
        requests=1,
        errors=int(settlement.http_status >= 400 and settlement.http_status != CLIENT_GONE),
        prompt_tokens=settlement.tokens.prompt,
        completion_tokens=settlement.tokens.completion,
        cost_nano_usd=settlement.cost_nano_usd,
    )


def dimensions_of(lease: Lease) -> tuple[tuple[Dimension, str], ...]:
    """The totals that a request of this lease belongs to."""
    return (("all", ""), ("key", lease.key_id), ("model", lease.model), ("endpoint", lease.endpoint))


def merge(breakdowns: Iterable[Breakdown]) -> dict[tuple[Dimension, str], Totals]:
    """The sum of several days."""
    merged: dict[tuple[Dimension, str], Totals] = {}
    for breakdown in breakdowns:
        for place, totals in breakdown.items():
            merged[place] = merged.get(place, Totals()) + totals
    return merged


def day_of(time_s: float) -> str:
    """The UTC day, `20261123`."""
    return _day(int(time_s // _DAY_S))


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_S, UTC).strftime("%Y%m%d")


def seconds_to_midnight(time_s: float) -> int:
    """Whole seconds until the next UTC day begins, at least 1: when a daily quota is fresh."""
    return _DAY_S - int(time_s) % _DAY_S


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both in."""

    name: str
    first: date
    last: date

    def has(self, day: str) -> bool:
        """Whether `20261123`-like `day` is in."""
        return self.first.strftime("%Y%m%d") <= day <= self.last.strftime("%Y%m%d")


def periods_at(time_s: float) -> tuple[Period, Period, Period]:
    """Today, this week (from Monday) and this month (from the 1st), all in UTC."""
    today = datetime.fromtimestamp(time_s, UTC).date()
    return (
        Period("today", today, today),
        Period("week", today - timedelta(days=today.weekday()), today),
        Period("month", today.replace(day=1), today),
    )
