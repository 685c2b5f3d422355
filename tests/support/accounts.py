"""Accounts, keys, leases, orders and settlements to test with; each call makes a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

from gateway.application.choices import Choice
from gateway.application.generation import Order
from gateway.domain.admission import Account, KeyRecord, Scope
from gateway.domain.keys import ApiKey, format_key, parse_key
from gateway.domain.models import Model
from gateway.domain.plans import Limits
from gateway.domain.shaping import PlainShaper
from gateway.domain.usage import Lease, Settlement, Status, Tokens

from tests.support.clock import NOON_S

_numbers = count(1)
CHAT_ONLY: frozenset[Scope] = frozenset({"chat"})
EVERYTHING: frozenset[Scope] = frozenset({"admin", "chat"})


@dataclass(frozen=True)
class Customer:
    """An account and the key that opens it."""

    account: Account
    key: ApiKey
    key_text: str


def new_key(account_id: str, *, secret: str | None = None) -> tuple[str, ApiKey]:
    """A key's text and what it spells."""
    number = next(_numbers)
    text = format_key(account_id=account_id, key_id=f"k{number:07d}", secret=secret or f"{number:032d}")
    key = parse_key(text)
    assert key is not None
    return text, key


def key_record(key: ApiKey, *, enabled: bool = True, scopes: frozenset[Scope] = EVERYTHING) -> KeyRecord:
    """What the table holds of a key."""
    assert key.hash is not None
    return KeyRecord(id=key.key_id, hash=key.hash, name="test", enabled=enabled, scopes=scopes, created_s=int(NOON_S))


def new_customer(
    *,
    daily_tokens: int | None = 1000,
    included_tokens: int = 1000,
    max_open_requests: int = 4,
    requests_per_minute: int = 20,
    active: bool = True,
    enabled: bool = True,
    scopes: frozenset[Scope] = EVERYTHING,
    plan: str = "free",
    hard_cap_tokens: int | None = None,
) -> Customer:
    """A new account, not yet written anywhere."""
    account_id = f"a{next(_numbers):011d}"
    text, key = new_key(account_id)
    account = Account(
        id=account_id,
        name="A test",
        plan=plan,
        active=active,
        created_s=int(NOON_S),
        limits=Limits(
            included_tokens=included_tokens,
            daily_tokens=daily_tokens,
            max_open_requests=max_open_requests,
            requests_per_minute=requests_per_minute,
        ),
        hard_cap_tokens=hard_cap_tokens,
        keys={key.key_id: key_record(key, enabled=enabled, scopes=scopes)},
        keys_version=0,
        open={},
        tokens_today=0,
        requests_this_minute=0,
    )
    return Customer(account, key, text)


def new_lease(
    customer: Customer,
    *,
    reserved_tokens: int = 100,
    admitted_s: float = NOON_S,
    holds_s: float = 300,
    model: str = "small",
    endpoint: str = "/v1/chat/completions",
) -> Lease:
    """A lease of a request that was not admitted yet."""
    return Lease(
        request_id=f"r{next(_numbers):023d}",
        account_id=customer.account.id,
        key_id=customer.key.key_id,
        model=model,
        endpoint=endpoint,
        reserved_tokens=reserved_tokens,
        admitted_s=int(admitted_s),
        deadline_s=int(admitted_s + holds_s),
    )


def new_settlement(
    lease: Lease,
    *,
    status: Status = "ok",
    http_status: int = 200,
    prompt: int = 10,
    completion: int = 20,
    cost_nano_usd: int = 30,
    ended_s: float | None = None,
    stale: tuple[str, ...] = (),
) -> Settlement:
    """How the request of this lease ended."""
    return Settlement(
        lease=lease,
        status=status,
        http_status=http_status,
        tokens=Tokens(prompt, completion),
        cost_nano_usd=cost_nano_usd,
        ended_s=int(lease.admitted_s + 2 if ended_s is None else ended_s),
        finish_reason="stop",
        first_token_ms=100,
        duration_ms=2000,
        stale=stale,
    )


def new_model(id_: str = "small", *, dialect: str = "llama.cpp", vision: bool = False) -> Model:
    """A model that costs 1 nano-USD a prompt token and 2 a completion token."""
    return Model(
        id=id_,
        name=id_,
        owner="tests",
        created=1,
        context_tokens=100,
        max_completion_tokens=50,
        prompt_usd_per_million=Decimal("0.001"),
        completion_usd_per_million=Decimal("0.002"),
        slots_per_copy=2,
        dialect=dialect,
        vision=vision,
    )


def new_order(
    customer: Customer,
    *,
    model: Model | None = None,
    bodies: Sequence[Mapping[str, Any]] = ({"max_tokens": 50},),
    reserved_tokens: int = 60,
    stream: bool = True,
) -> Order:
    """An order with one choice for each body, all of one prompt."""
    return Order(
        request_id=f"r{next(_numbers):023d}",
        key=customer.key,
        model=model or new_model(),
        endpoint="/v1/chat/completions",
        kind="chat",
        choices=[
            Choice(index=index, body=body, new_shaper=PlainShaper, counts_prompt=index == 0)
            for index, body in enumerate(bodies)
        ],
        reserved_tokens=reserved_tokens,
        stream=stream,
    )
