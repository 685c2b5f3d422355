"""The lines on DynamoDB: one item a model, plain conditional updates, never a transaction (the item is hot)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.adapters.aws._errors import ledger_unavailable
from gateway.adapters.aws.items import Item, Value, model_key, number, text
from gateway.adapters.aws.table import ConditionFailed, Table, TableUnavailable
from gateway.domain.line import Holder, Line, ModelStatus, Waiter

DEFAULT_SERVICE_S = 10.0
"""The service time told before anything was served."""
SERVED_KEPT = 200
"""The mean service time is of so many slots at least: past it, older ones count half as much every minute."""
_NAMES = {"#open": "open", "#line": "line"}


@dataclass(frozen=True, slots=True)
class DynamoLines:
    """Keeps the promises of `ports.Lines`."""

    table: Table

    async def take(self, model: str, *, request_id: str, account_id: str, deadline_s: float) -> Line | None:
        """See `ports.Lines.take`."""
        try:
            await self._update(
                model,
                "SET #open.#rid = :holder",
                "#state = :ready AND size(#open) < #slots AND size(#line) = :zero",
                names={**_NAMES, "#rid": request_id, "#state": "state", "#slots": "slots"},
                values={":holder": _holder(account_id, deadline_s), ":ready": text("ready"), ":zero": number(0)},
            )
        except ConditionFailed as failure:
            line = _line(model, failure.item)
            return None if request_id in line.open else line
        return None

    async def join(self, model: str, waiter: Waiter, *, max_waiting: int, instead_of: str | None = None) -> bool:
        """See `ports.Lines.join`."""
        update, condition = "SET #line.#rid = :waiter", "#state = :ready AND size(#line) < :most"
        names = {"#line": _NAMES["#line"], "#rid": waiter.request_id, "#state": "state"}
        values = {":waiter": _waiter(waiter), ":ready": text("ready"), ":most": number(max_waiting)}
        if instead_of is not None:
            update += " REMOVE #line.#other"
            condition = "#state = :ready AND attribute_exists(#line.#other)"
            names["#other"] = instead_of
            del values[":most"]
        try:
            await self._update(model, update, condition, names=names, values=values)
        except ConditionFailed as failure:
            return waiter.request_id in _line(model, failure.item).waiting
        return True

    async def look(self, model: str) -> Line:
        """See `ports.Lines.look`."""
        try:
            return _line(model, await self.table.get_item(model_key(model)))
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def take_turn(self, model: str, waiter: Waiter, *, deadline_s: float) -> bool:
        """See `ports.Lines.take_turn`."""
        try:
            await self._update(
                model,
                "SET #open.#rid = :holder, #turns.#account = :deadline REMOVE #line.#rid",
                "#state = :ready AND size(#open) < #slots AND attribute_exists(#line.#rid)",
                names={
                    **_NAMES,
                    "#rid": waiter.request_id,
                    "#state": "state",
                    "#slots": "slots",
                    "#turns": "turns",
                    "#account": waiter.account_id,
                },
                values={
                    ":holder": _holder(waiter.account_id, deadline_s),
                    ":deadline": number(deadline_s),
                    ":ready": text("ready"),
                },
            )
        except ConditionFailed as failure:
            return waiter.request_id in _line(model, failure.item).open
        return True

    async def leave(self, model: str, request_id: str, *, served_s: float | None = None) -> None:
        """See `ports.Lines.leave`."""
        names = {**_NAMES, "#rid": request_id}
        update, values = "REMOVE #open.#rid, #line.#rid", {}
        if served_s is not None:
            update += " ADD #served :one, #served_ms :ms"
            names |= {"#served": "served", "#served_ms": "served_ms"}
            values = {":one": number(1), ":ms": number(round(served_s * 1000))}
        # only what is there is left: a slot given back twice must not count its time twice
        await self._attempt(
            model, update, "attribute_exists(#open.#rid) OR attribute_exists(#line.#rid)", names=names, values=values
        )

    async def want(self, model: str, *, now_s: float) -> None:
        """See `ports.Lines.want`."""
        await self._attempt(
            model,
            "SET #wanted = :now",
            "attribute_exists(pk) AND (attribute_not_exists(#wanted) OR #wanted < :now)",
            names={"#wanted": "wanted"},
            values={":now": number(now_s)},
        )

    async def remove_dead(self, line: Line, *, now_s: float) -> None:
        """See `ports.Lines.remove_dead`."""
        for entry in line.dead(now_s):
            place = "#line" if isinstance(entry, Waiter) else "#open"
            await self._attempt(
                line.model,
                f"REMOVE {place}.#rid",
                f"{place}.#rid.#d = :seen",
                names={place: _NAMES[place], "#rid": entry.request_id, "#d": "d"},
                values={":seen": number(entry.deadline_s)},
            )

    async def describe(self, model: str, *, status: ModelStatus, copies: int, slots: int) -> Line:
        """See `ports.Lines.describe`."""
        try:
            answer = await self.table.update_item(
                Key=model_key(model),
                UpdateExpression=(
                    "SET #state = :state, #copies = :copies, #slots = :slots, #kind = :kind,"
                    " #open = if_not_exists(#open, :none), #line = if_not_exists(#line, :none),"
                    " #turns = if_not_exists(#turns, :none)"
                ),
                ExpressionAttributeNames={
                    **_NAMES,
                    "#state": "state",
                    "#copies": "copies",
                    "#slots": "slots",
                    "#kind": "kind",
                    "#turns": "turns",
                },
                ExpressionAttributeValues={
                    ":state": text(status),
                    ":copies": number(copies),
                    ":slots": number(slots),
                    ":kind": text("MODEL"),
                    ":none": {"M": {}},
                },
                ReturnValues="ALL_NEW",
            )
        except TableUnavailable:
            raise ledger_unavailable() from None
        return _line(model, answer["Attributes"])

    async def tidy(self, line: Line) -> None:
        """See `ports.Lines.tidy`."""
        updates: list[str] = []
        names: dict[str, str] = {}
        values: dict[str, Value] = {}
        if line.turns and not line.waiting:
            updates.append("#turns = :none")
            names["#turns"], values[":none"] = "turns", {"M": {}}
        if line.served > SERVED_KEPT:
            kept = line.served // 2
            updates.append("#served = :served, #served_ms = :ms")
            names |= {"#served": "served", "#served_ms": "served_ms"}
            values |= {":served": number(kept), ":ms": number(round(line.service_s * kept * 1000))}
        if updates:
            condition = "attribute_exists(pk)"
            await self._attempt(line.model, f"SET {', '.join(updates)}", condition, names=names, values=values)

    async def _attempt(
        self, model: str, update: str, condition: str, *, names: Mapping[str, str], values: Mapping[str, Value]
    ) -> None:
        with suppress(ConditionFailed):  # somebody did it before
            await self._update(model, update, condition, names=names, values=values)

    async def _update(
        self,
        model: str,
        update: str,
        condition: str,
        *,
        names: Mapping[str, str],
        values: Mapping[str, Value],
    ) -> None:
        arguments: dict[str, Any] = {"ExpressionAttributeValues": dict(values)} if values else {}
        try:
            await self.table.update_item(
                Key=model_key(model),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=dict(names),
                **arguments,
            )
        except TableUnavailable:
            raise ledger_unavailable() from None


def _holder(account_id: str, deadline_s: float) -> Value:
    return {"M": {"a": text(account_id), "d": number(deadline_s)}}


def _waiter(waiter: Waiter) -> Value:
    return {
        "M": {
            "a": text(waiter.account_id),
            "d": number(waiter.deadline_s),
            "s": number(waiter.since_s),
            "r": number(waiter.rank),
        }
    }


def _line(model: str, item: Item | None) -> Line:
    if item is None:
        return Line(model=model, status="off", copies=0, slots=0, service_s=DEFAULT_SERVICE_S, open={}, waiting={})
    served = int(item["served"]["N"]) if "served" in item else 0
    service_s = float(item["served_ms"]["N"]) / served / 1000 if served else DEFAULT_SERVICE_S
    status: ModelStatus = item["state"]["S"]
    return Line(
        model=model,
        status=status,
        copies=int(item["copies"]["N"]),
        slots=int(item["slots"]["N"]),
        service_s=service_s,
        open={
            rid: Holder(request_id=rid, account_id=value["M"]["a"]["S"], deadline_s=float(value["M"]["d"]["N"]))
            for rid, value in item["open"]["M"].items()
        },
        waiting={
            rid: Waiter(
                request_id=rid,
                account_id=value["M"]["a"]["S"],
                since_s=float(value["M"]["s"]["N"]),
                deadline_s=float(value["M"]["d"]["N"]),
                rank=int(value["M"]["r"]["N"]),
            )
            for rid, value in item["line"]["M"].items()
        },
        wanted_s=float(item["wanted"]["N"]) if "wanted" in item else 0.0,
        turns={account: float(turn["N"]) for account, turn in item["turns"]["M"].items()},
        served=served,
    )
