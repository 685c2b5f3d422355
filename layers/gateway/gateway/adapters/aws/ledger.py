"""The ledger on DynamoDB: admission is one conditional write, settlement one transaction."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.adapters.aws._errors import ledger_unavailable
from gateway.adapters.aws.items import (
    account_key,
    account_of,
    day_key,
    flag,
    lease_value,
    number,
    requests_attribute,
    text,
    tokens_attribute,
    usage_key,
)
from gateway.adapters.aws.job_items import end_job_items
from gateway.adapters.aws.table import ConditionFailed, Table, TableUnavailable, TransactionRefused
from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.domain.admission import Account, explain_refusal
from gateway.domain.errors import LeaseGone, RateLimited, Unsettled
from gateway.domain.usage import Lease, Settlement, dimensions_of, dropped, lost, totals_of

USAGE_KEPT_S = 400 * 86_400
"""Usage records live 400 days (the table's TTL), so that a year can be audited; totals of days stay."""

_ADMIT = (
    "SET #open.#rid = :lease, #tokens = if_not_exists(#tokens, :zero) + :reserved,"
    " #requests = if_not_exists(#requests, :zero) + :one"
)
_KEY_IS_GOOD = "#keys.#kid.#hash = :hash AND #keys.#kid.#enabled = :true AND contains(#keys.#kid.#scopes, :chat) AND "
_ADMIT_IF = (
    "#active = :true AND attribute_not_exists(#open.#rid)"
    " AND (attribute_not_exists(#limit_tokens) OR attribute_not_exists(#tokens) OR #tokens < #limit_tokens)"
    " AND size(#open) < #limit_open AND (attribute_not_exists(#requests) OR #requests < #limit_rpm)"
)
_ADMIT_NAMES = {f"#{name}": name for name in ("open", "active", "limit_tokens", "limit_open", "limit_rpm")}
_KEY_NAMES = {f"#{name}": name for name in ("keys", "hash", "enabled", "scopes")}


@dataclass(frozen=True, slots=True)
class DynamoLedger:
    """Keeps the promises of `ports.Ledger`."""

    table: Table

    async def admit(self, lease: Lease, *, key_hash: str | None) -> Account:
        """See `ports.Ledger.admit`. Dead leases in the way are settled as lost and the write is tried once more."""
        try:
            return await self._admit(lease, key_hash=key_hash)
        except _Refused as refusal:
            dead = refusal.account.dead_leases(lease.admitted_s) if refusal.account else []
            if not dead or not isinstance(refusal.error, RateLimited):
                raise refusal.error from None
        for gone in dead:
            await self._settle_lost(gone, now_s=lease.admitted_s)
        try:
            return await self._admit(lease, key_hash=key_hash)
        except _Refused as refusal:
            raise refusal.error from None

    async def _admit(self, lease: Lease, *, key_hash: str | None) -> Account:
        condition, names = _ADMIT_IF, {**_ADMIT_NAMES}
        values = {
            ":lease": lease_value(lease),
            ":reserved": number(lease.reserved_tokens),
            ":true": flag(True),
            ":zero": number(0),
            ":one": number(1),
        }
        if key_hash is not None:
            condition = _KEY_IS_GOOD + condition
            names |= {**_KEY_NAMES, "#kid": lease.key_id}
            values |= {":hash": text(key_hash), ":chat": text("chat")}
        try:
            answer = await self.table.update_item(
                Key=account_key(lease.account_id),
                UpdateExpression=_ADMIT,
                ConditionExpression=condition,
                ExpressionAttributeNames={
                    **names,
                    "#rid": lease.request_id,
                    "#tokens": tokens_attribute(lease.admitted_s),
                    "#requests": requests_attribute(lease.admitted_s),
                },
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
            )
        except TableUnavailable:
            raise ledger_unavailable() from None
        except ConditionFailed as failure:
            account = account_of(failure.item, now_s=lease.admitted_s) if failure.item else None
            if account is not None and account.open.get(lease.request_id) == lease:
                return account  # a repeat of our own write, whose first answer was lost
            error = explain_refusal(account, lease, key_hash=key_hash, now_s=lease.admitted_s)
            raise _Refused(account, error) from None
        return account_of(answer["Attributes"], now_s=lease.admitted_s)

    async def claim_quota_event(self, account_id: str, *, day: str) -> bool:
        """See `ports.Ledger.claim_quota_event`."""
        try:
            await self.table.update_item(
                Key=account_key(account_id),
                UpdateExpression="SET quota_told = :day",
                ConditionExpression="attribute_exists(pk) AND quota_told <> :day",
                ExpressionAttributeValues={":day": text(day)},
            )
        except ConditionFailed:
            return False
        except TableUnavailable:
            raise ledger_unavailable() from None
        return True

    async def _settle_lost(self, lease: Lease, *, now_s: float) -> None:
        with suppress(LeaseGone, Unsettled):  # somebody else settled it, or the sweep will
            await self.settle(lost(lease, now_s=now_s))

    async def settle(self, settlement: Settlement) -> None:
        """See `ports.Ledger.settle`."""
        # one token for one content: within ten minutes DynamoDB answers a repeat of it without writing again
        token = f"{settlement.lease.request_id}-{settlement.status}"
        items = [self._end_lease(settlement), self._record(settlement), self._add_to_day(settlement)]
        if settlement.job is not None:
            items += end_job_items(self.table.name, settlement.job)
        try:
            await self.table.transact(token=token, items=items)
        except TransactionRefused as refusal:
            if settlement.job is not None and refusal.reasons[0] == "None":
                # the lease is ours, the job is not any more: its answer is dropped, so nothing is charged
                await self.settle(dropped(settlement))
                return
            raise LeaseGone(settlement.lease.request_id) from None
        except TableUnavailable:
            raise Unsettled(settlement.lease.request_id) from None
        except AwsRefusal as error:
            if error.code != "IdempotentParameterMismatchException":
                raise
            raise LeaseGone(settlement.lease.request_id) from None

    def _end_lease(self, settlement: Settlement) -> dict[str, Any]:
        lease = settlement.lease
        stale = {f"#s{index}": name for index, name in enumerate(settlement.stale)}
        return {
            "Update": {
                "TableName": self.table.name,
                "Key": account_key(lease.account_id),
                "UpdateExpression": f"REMOVE {', '.join(['#open.#rid', *stale])} ADD #tokens :unused",
                "ConditionExpression": "attribute_exists(#open.#rid)",
                "ExpressionAttributeNames": {
                    "#open": "open",
                    "#rid": lease.request_id,
                    "#tokens": f"t{lease.day}",
                    **stale,
                },
                "ExpressionAttributeValues": {":unused": number(settlement.tokens.total - lease.reserved_tokens)},
            }
        }

    def _record(self, settlement: Settlement) -> dict[str, Any]:
        lease = settlement.lease
        numbers = {
            "http_status": settlement.http_status,
            "prompt_tokens": settlement.tokens.prompt,
            "completion_tokens": settlement.tokens.completion,
            "total_tokens": settlement.tokens.total,
            "cost_nano_usd": settlement.cost_nano_usd,
            "searches": settlement.searches,
            "admitted": lease.admitted_s,
            "ended": settlement.ended_s,
            "first_token_ms": settlement.first_token_ms,
            "duration_ms": settlement.duration_ms,
            "expires_at": settlement.ended_s + USAGE_KEPT_S,
        }
        texts = {
            "request_id": lease.request_id,
            "account": lease.account_id,
            "key": lease.key_id,
            "model": lease.model,
            "endpoint": lease.endpoint,
            "day": lease.day,
            "status": settlement.status,
            "finish_reason": settlement.finish_reason,
        }
        item = {
            **usage_key(lease.account_id, lease.day, lease.request_id),
            "stream": flag(settlement.stream),
            **{name: number(value) for name, value in numbers.items() if value is not None},
            **{name: text(value) for name, value in texts.items() if value is not None},
        }
        return {"Put": {"TableName": self.table.name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def _add_to_day(self, settlement: Settlement) -> dict[str, Any]:
        lease = settlement.lease
        totals = totals_of(settlement)
        added = {
            "requests": totals.requests,
            "errors": totals.errors,
            "prompt": totals.prompt_tokens,
            "completion": totals.completion_tokens,
            "cost": totals.cost_nano_usd,
        }
        names, values, clauses = {}, {}, []
        for measure, amount in added.items():
            if not amount:
                continue
            values[f":{measure}"] = number(amount)
            for position, (dimension, value) in enumerate(dimensions_of(lease)):
                names[f"#{measure}{position}"] = f"{dimension}/{value}/{measure}"
                clauses.append(f"#{measure}{position} :{measure}")
        return {
            "Update": {
                "TableName": self.table.name,
                "Key": day_key(lease.account_id, lease.day),
                "UpdateExpression": f"ADD {', '.join(clauses)}",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }


class _Refused(Exception):
    def __init__(self, account: Account | None, error: Exception) -> None:
        super().__init__()
        self.account = account
        self.error = error
