"""Items of the table: keys, attribute values, and accounts as items (DESIGN "Admission")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.domain.admission import Account, KeyRecord, is_over
from gateway.domain.plans import Limits
from gateway.domain.usage import Lease, day_of

Item = Mapping[str, Any]
Value = Mapping[str, Any]

_COUNTER = re.compile(r"(?:t\d{8}|r\d{7,})\Z")


def text(value: str) -> Value:
    """A string attribute."""
    return {"S": value}


def number(value: float) -> Value:
    """A number attribute."""
    return {"N": repr(value)}


def optional_text(item: Item, name: str) -> str | None:
    """An item's string; None where it has none of this name."""
    return item[name]["S"] if name in item else None


def optional_number(item: Item, name: str) -> int | None:
    """An item's integer; None where it has none of this name."""
    return int(item[name]["N"]) if name in item else None


def flag(value: bool) -> Value:
    """A boolean attribute."""
    return {"BOOL": value}


def account_key(account_id: str) -> dict[str, Value]:
    """The primary key of an account's item."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text("ACCOUNT")}


def usage_key(account_id: str, day: str, request_id: str) -> dict[str, Value]:
    """The primary key of a usage record."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"USAGE#{day}#{request_id}")}


def day_key(account_id: str, day: str) -> dict[str, Value]:
    """The primary key of a day's totals."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"DAY#{day}")}


def model_key(model: str) -> dict[str, Value]:
    """The primary key of a model's item."""
    return {"pk": text(f"MODEL#{model}"), "sk": text("MODEL")}


def tokens_attribute(time_s: float) -> str:
    """The account's counter of tokens used and reserved in the UTC day."""
    return f"t{day_of(time_s)}"


def requests_attribute(time_s: float) -> str:
    """The account's counter of requests admitted in the minute."""
    return f"r{int(time_s) // 60}"


def lease_value(lease: Lease) -> Value:
    """A lease as the value under `open.<request id>`; short names, for the item is written at every request."""
    return {
        "M": {
            "d": number(lease.deadline_s),
            "n": number(lease.reserved_tokens),
            "m": text(lease.model),
            "k": text(lease.key_id),
            "e": text(lease.endpoint),
            "a": number(lease.admitted_s),
        }
    }


def _lease(account_id: str, request_id: str, value: Item) -> Lease:
    fields = value["M"]
    return Lease(
        request_id=request_id,
        account_id=account_id,
        key_id=fields["k"]["S"],
        model=fields["m"]["S"],
        endpoint=fields["e"]["S"],
        reserved_tokens=int(fields["n"]["N"]),
        admitted_s=int(fields["a"]["N"]),
        deadline_s=int(fields["d"]["N"]),
    )


def key_value(key: KeyRecord) -> Value:
    """A key as the value under `keys.<key id>`."""
    return {
        "M": {
            "hash": text(key.hash),
            "name": text(key.name),
            "enabled": flag(key.enabled),
            "scopes": {"L": [text(scope) for scope in sorted(key.scopes)]},
            "created": number(key.created_s),
        }
    }


def keys_value(keys: Mapping[str, KeyRecord]) -> Value:
    """All keys of an account as one map."""
    return {"M": {id_: key_value(key) for id_, key in keys.items()}}


def _key(id_: str, value: Item) -> KeyRecord:
    fields = value["M"]
    return KeyRecord(
        id=id_,
        hash=fields["hash"]["S"],
        name=fields["name"]["S"],
        enabled=fields["enabled"]["BOOL"],
        scopes=frozenset(scope["S"] for scope in fields["scopes"]["L"]),
        created_s=int(fields["created"]["N"]),
    )


def settings_of(account: Account) -> dict[str, Value]:
    """The attributes of an account that its operator sets; an absent wall is an absent attribute."""
    limits = account.limits
    values = {
        "name": text(account.name),
        "plan": text(account.plan),
        "active": flag(account.active),
        "limit_open": number(limits.max_open_requests),
        "limit_rpm": number(limits.requests_per_minute),
        "included": number(limits.included_tokens),
    }
    if limits.daily_tokens is not None:
        values["limit_tokens"] = number(limits.daily_tokens)
    if account.hard_cap_tokens is not None:
        values["cap"] = number(account.hard_cap_tokens)
    return values


def new_account_item(account: Account) -> Item:
    """The item of an account that has not run anything yet. `kind` puts it into the index `by-kind`."""
    return {
        **account_key(account.id),
        **settings_of(account),
        "kind": text("ACCOUNT"),
        "created": number(account.created_s),
        "keys": keys_value(account.keys),
        "keys_version": number(account.keys_version),
        "open": {"M": {}},
    }


def account_of(item: Item, *, now_s: float) -> Account:
    """The account that an item is, with the counters of this day and minute."""
    id_ = item["pk"]["S"].removeprefix("ACCOUNT#")
    tokens, requests = tokens_attribute(now_s), requests_attribute(now_s)
    open_ = {rid: _lease(id_, rid, value) for rid, value in item["open"]["M"].items()}
    # the counter of a day gone by stays while a request of that day runs: its settlement still takes from it
    needed = {f"t{lease.day}" for lease in open_.values()}
    return Account(
        id=id_,
        name=item["name"]["S"],
        plan=item["plan"]["S"],
        active=item["active"]["BOOL"],
        created_s=int(item["created"]["N"]),
        limits=Limits(
            included_tokens=int(item["included"]["N"]),
            daily_tokens=optional_number(item, "limit_tokens"),
            max_open_requests=int(item["limit_open"]["N"]),
            requests_per_minute=int(item["limit_rpm"]["N"]),
        ),
        hard_cap_tokens=optional_number(item, "cap"),
        keys={key_id: _key(key_id, value) for key_id, value in item["keys"]["M"].items()},
        keys_version=int(item["keys_version"]["N"]),
        open=open_,
        tokens_today=optional_number(item, tokens) or 0,
        requests_this_minute=optional_number(item, requests) or 0,
        stale=tuple(
            sorted(name for name in item if _COUNTER.match(name) and is_over(name, now_s) and name not in needed)
        ),
        quota_told=item["quota_told"]["S"] if "quota_told" in item else None,
    )
