"""Admission: who may start a request now.

The decision itself is one conditional write on the account's item (DESIGN "Admission"); here are the values that
go into it and the reading of its refusal. A request reserves the most it can use, so that concurrent requests
cannot overspend: at most one request runs past the day's tokens. What it did not use comes back at settlement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Literal

from gateway.domain.errors import AuthenticationFailed, DailyQuotaReached, GatewayError, PermissionDenied, RateLimited
from gateway.domain.plans import Limits
from gateway.domain.usage import Lease, day_of, seconds_to_midnight

Scope = Literal["chat", "admin"]

RESERVED_RETRY_S = 2
"""Tokens that running requests hold come back when these end: seconds, not the day."""
OPEN_RETRY_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What the table holds of a key."""

    id: str
    hash: str
    name: str
    enabled: bool
    scopes: frozenset[Scope]
    created_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as its item says at one moment.

    `tokens_today` counts what is used and what is reserved; `requests_this_minute` counts admitted requests.
    """

    id: str
    name: str
    plan: str
    active: bool
    created_s: int
    limits: Limits
    hard_cap_tokens: int | None
    keys: Mapping[str, KeyRecord]
    keys_version: int
    open: Mapping[str, Lease]
    tokens_today: int
    requests_this_minute: int
    stale: tuple[str, ...] = ()
    quota_told: str | None = None
    """The last UTC day whose used-up quota an event has told of."""

    @property
    def reserved_tokens(self) -> int:
        """What running requests hold of today's tokens and may give back."""
        return sum(lease.reserved_tokens for lease in self.open.values())

    def dead_leases(self, now_s: float) -> list[Lease]:
        """Leases past their deadline: their process died."""
        return [lease for lease in self.open.values() if lease.deadline_s <= now_s]


def is_over(counter: str, now_s: float) -> bool:
    """Whether a counter of an account, `t20261123` of a day or `r29923600` of a minute, may be removed.

    One of the day or minute before may not, nor one that is still to come: another process's clock can be behind or
    ahead of ours, and the settlement that removes what its admission saw comes minutes later.
    """
    if counter.startswith("t"):
        return counter[1:] < day_of(now_s - 86_400)
    return int(counter[1:]) < int(now_s) // 60 - 1


def estimate_prompt_tokens(text_bytes: int, *, messages: int) -> int:
    """Tokens to reserve for a prompt before the engine has counted it.

    Three bytes a token is low for English (about 4.2) and near the truth for code and CJK; the template adds a few
    tokens a message.
    """
    return -(-text_bytes // 3) + 8 * messages + 8


def explain_refusal(account: Account | None, lease: Lease, *, key_hash: str | None, now_s: float) -> GatewayError:
    """Why the conditional write of admission was refused, from the item as it was.

    Unknown account, unknown key, wrong secret and disabled key answer alike (CONTRACT "Errors").
    """
    if account is None:
        return AuthenticationFailed()
    denial = explain_denial(account, key_id=lease.key_id, key_hash=key_hash, scope="chat")
    if denial is not None:
        return denial
    limits = account.limits
    headers = rate_limit_headers(account, now_s=now_s)
    if limits.daily_tokens is not None and account.tokens_today >= limits.daily_tokens:
        if account.tokens_today - account.reserved_tokens >= limits.daily_tokens:
            return DailyQuotaReached(
                f"The daily limit of {limits.daily_tokens} tokens is used up. It starts anew at 00:00 UTC.",
                event=None if account.quota_told == lease.day else _quota_event(account, lease.day),
                retry_after_s=seconds_to_midnight(now_s),
                headers=headers,
            )
        return RateLimited(
            "What is left of today's tokens is reserved for requests that are running. Retry when one has ended.",
            reason="tokens_reserved",
            retry_after_s=RESERVED_RETRY_S,
            headers=headers,
        )
    if account.requests_this_minute >= limits.requests_per_minute:
        return RateLimited(
            f"Over the limit of {limits.requests_per_minute} requests a minute.",
            reason="requests_per_minute_exceeded",
            retry_after_s=60 - int(now_s) % 60,
            headers=headers,
        )
    return RateLimited(
        f"{len(account.open)} requests are open; the limit is {limits.max_open_requests} at once.",
        reason="too_many_open_requests",
        retry_after_s=OPEN_RETRY_S,
        headers=headers,
    )


def _quota_event(account: Account, day: str) -> dict[str, Any]:
    """The detail of QuotaReached (`infra/events`)."""
    return {
        "account": account.id,
        "plan": account.plan,
        "day": day,
        "limit_tokens": account.limits.daily_tokens,
        "used_tokens": account.tokens_today,
    }


def explain_denial(account: Account, *, key_id: str, key_hash: str | None, scope: Scope | None) -> GatewayError | None:
    """Why this key may not do `scope` on this account, or None where it may; no scope asks only for a good key.

    Without a hash a trusted event source asks, which has no key."""
    key = account.keys.get(key_id)
    if key_hash is not None and (key is None or not compare_digest(key.hash, key_hash) or not key.enabled):
        return AuthenticationFailed()
    if not account.active:
        return PermissionDenied("The account is suspended.", reason="account_suspended")
    if key_hash is None or key is None:
        return None
    if scope is not None and scope not in key.scopes:
        return PermissionDenied(f"This key lacks the scope '{scope}'.", reason="missing_scope")
    return None


def rate_limit_headers(account: Account, *, now_s: float) -> dict[str, str]:
    """`x-ratelimit-*` as OpenAI's clients read them; without a wall, the day's included tokens are the limit told."""
    limits = account.limits
    daily_tokens = limits.included_tokens if limits.daily_tokens is None else limits.daily_tokens
    return {
        "x-ratelimit-limit-requests": str(limits.requests_per_minute),
        "x-ratelimit-remaining-requests": str(max(0, limits.requests_per_minute - account.requests_this_minute)),
        "x-ratelimit-reset-requests": _duration(60 - int(now_s) % 60),
        "x-ratelimit-limit-tokens": str(daily_tokens),
        "x-ratelimit-remaining-tokens": str(max(0, daily_tokens - account.tokens_today)),
        "x-ratelimit-reset-tokens": _duration(seconds_to_midnight(now_s)),
    }


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
