"""One generation from admission to settlement. Nothing else generates: the streamed, the buffered and the queued
face all drive a `Run` (DESIGN "The picture").

    admit ─ queue ─ open ─ pieces … endings ─ close
      │       │       │       │                 └ slot back, one settlement, whatever happened before
      └───────┴───────┴───────┴── any failure goes the same way out
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from gateway.application.choices import Choice, ChoiceCount, ChoiceReader
from gateway.application.images import LoadImages
from gateway.application.ports import Bus, Clock, Engine, Ledger, Lines
from gateway.application.queueing import Queue
from gateway.application.searching import Findings, SearchOrder, WebSearch
from gateway.application.settling import Settle
from gateway.domain.admission import Account, rate_limit_headers
from gateway.domain.answer import Ending, Extra, Kind, Piece, Usage
from gateway.domain.errors import DailyQuotaReached, GatewayError, ServerError, ServiceUnavailable
from gateway.domain.images import ImageLink, embed_images
from gateway.domain.jobs import JobEnd
from gateway.domain.keys import ApiKey
from gateway.domain.line import INTERACTIVE
from gateway.domain.models import Model
from gateway.domain.shaping import PlainShaper
from gateway.domain.usage import CLIENT_GONE, Lease, Settlement, Status, Tokens, abandoned, lost

logger = logging.getLogger(__name__)

Batch = list[Piece | Ending | Extra]

LEASE_MARGIN_S = 60
"""A lease outlives everything its request may do by this much: only a dead process leaves one behind."""
SLOT_MARGIN_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A valid request, ready to be admitted. `reserved_tokens` is the most it can use."""

    request_id: str
    key: ApiKey
    model: Model
    endpoint: str
    kind: Kind
    choices: Sequence[Choice]
    reserved_tokens: int
    stream: bool
    rank: int = INTERACTIVE
    search: SearchOrder | None = None
    images: Sequence[ImageLink] = ()

    def ranked(self, rank: int) -> Order:
        """The same order at another rank of the line."""
        return replace(self, rank=rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Starts runs.

    `timeout_s` bounds a generation from slot to last token; `patience_s` is how long the first token is waited for
    before a run starts without it, and how long a silence may last before the face is told of it.
    """

    ledger: Ledger
    lines: Lines
    queue: Queue
    engine: Engine
    search: WebSearch
    load_images: LoadImages
    settle: Settle
    bus: Bus
    clock: Clock
    timeout_s: float
    patience_s: float = 10.0

    async def start(self, order: Order) -> Run:
        """Admits, queues and opens. Returns once the first piece is there, or `patience_s` has passed without one.

        Raises every GatewayError of admission, line and engine; then nothing is held and what happened is settled.
        """
        now_s, began_s = self.clock.now_s(), self.clock.elapsed_s()
        lease = Lease(
            request_id=order.request_id,
            account_id=order.key.account_id,
            key_id=order.key.key_id,
            model=order.model.id,
            endpoint=order.endpoint,
            reserved_tokens=order.reserved_tokens,
            admitted_s=int(now_s),
            deadline_s=int(now_s + self.queue.wait_s + self.timeout_s + LEASE_MARGIN_S),
        )
        try:
            account = await self.ledger.admit(lease, key_hash=order.key.hash)
        except DailyQuotaReached as error:
            await self._tell_quota_reached(error, lease)
            raise
        except asyncio.CancelledError:
            # the client left while the write was on its way: if it took effect, it is undone
            await self.settle(abandoned(lease, now_s=now_s))
            raise
        run = Run(self, order, lease, account, started_s=began_s)
        try:
            await run.open()
        except BaseException as error:
            await run.close(error)
            if isinstance(error, GatewayError):
                error.headers |= run.headers
            raise
        return run

    async def _tell_quota_reached(self, refusal: DailyQuotaReached, lease: Lease) -> None:
        """Once an account and day; not at all where the table is out of reach, for the refusal is what counts."""
        if refusal.event is None:
            return
        with suppress(ServiceUnavailable):
            if await self.ledger.claim_quota_event(lease.account_id, day=lease.day):
                await self.bus.publish("QuotaReached", refusal.event)


class Run:
    """An admitted generation. Whoever starts one closes it."""

    def __init__(self, generate: Generate, order: Order, lease: Lease, account: Account, *, started_s: float) -> None:
        self._with = generate
        self._started_s = started_s
        self._order = order
        self._lease = lease
        self._account = account
        self._choices = order.choices
        self._findings: Findings | None = None
        self._data_urls: Mapping[str, str] = {}
        self._counts: list[tuple[Choice, ChoiceCount]] = []
        self._batches = self._generate()
        self._first: asyncio.Task[Batch | None] | None = None
        self._line_since_s: float | None = None
        self._slot_since_s: float | None = None
        self._slot_return: asyncio.Task[None] | None = None
        self._first_token_s: float | None = None
        self._finish_reason: str | None = None
        self._finished = False
        self._closing: asyncio.Task[Settlement] | None = None

    @property
    def created(self) -> int:
        """When the request was admitted, Unix seconds."""
        return self._lease.admitted_s

    @property
    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*` as admission left them, and what became of a search."""
        headers = rate_limit_headers(self._account, now_s=self._lease.admitted_s)
        return headers if self._findings is None else headers | {"x-search-status": self._findings.status}

    @property
    def usage(self) -> Usage:
        """What was used so far; final once the pieces have ended."""
        tokens = Tokens()
        for choice, count in self._counts:
            used = count.so_far()
            tokens += used if choice.counts_prompt else Tokens(0, used.completion)
        return self._priced(tokens)

    async def open(self) -> None:
        """Fetches linked images, takes a slot and waits for the first piece, or for `patience_s`."""
        # before the line: no slot is held for a stranger's slow host
        self._data_urls = await self._with.load_images(self._order.images, dialect=self._order.model.dialect)
        self._line_since_s = self._with.clock.elapsed_s()
        await self._with.queue.enter(
            self._order.model.id,
            request_id=self._lease.request_id,
            account_id=self._lease.account_id,
            hold_s=self._with.timeout_s + SLOT_MARGIN_S,
            rank=self._order.rank,
        )
        self._slot_since_s = self._with.clock.elapsed_s()
        if self._order.search is not None:
            # before the status line, however long it takes: a search that must be had can still refuse
            self._findings = await self._with.search.find(self._order.search, self._ask)
            self._choices = self._order.search.answer(self._findings)
        self._first = asyncio.create_task(_next(self._batches))
        await asyncio.wait({self._first}, timeout=self._with.patience_s)
        if self._first.done():
            self._first.result()

    async def pieces(self) -> AsyncIterator[Batch]:
        """Pieces and endings as they come; an empty batch after each silence of `patience_s`.

        Raises GatewayError where the generation breaks off.
        """
        assert self._first is not None, "open() comes first"
        while not self._first.done():
            yield []
            await asyncio.wait({self._first}, timeout=self._with.patience_s)
        batch = self._first.result()
        while batch is not None:
            yield batch
            batch = await _next(self._batches)

    async def close(self, error: BaseException | None = None, *, job: JobEnd | None = None) -> Settlement:
        """Gives the slot back and settles; the second call returns the first one's settlement.

        `error` is what ended the run early; without one, an unfinished run is one whose client left. `job` ends in
        the same transaction.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(error, job))
        return await asyncio.shield(self._closing)

    def _read(self, choice: Choice) -> AsyncIterator[Batch]:
        assert self._slot_since_s is not None
        reader = ChoiceReader(
            engine=self._with.engine,
            clock=self._with.clock,
            model=self._order.model,
            until_s=self._slot_since_s + self._with.timeout_s,
            patience_s=self._with.patience_s,
        )
        count = ChoiceCount()
        self._counts.append((choice, count))
        if self._order.images:
            choice = replace(choice, body=embed_images(choice.body, self._data_urls))
        return reader.read(choice, count)

    async def _ask(self, body: Mapping[str, Any]) -> str:
        """What the model says to a question of ours; it is used and paid like the answer itself."""
        question = Choice(index=0, body=body, new_shaper=PlainShaper)
        return "".join(
            [item.delta["content"] async for batch in self._read(question) for item in batch if isinstance(item, Piece)]
        )

    async def _generate(self) -> AsyncGenerator[Batch, None]:
        last = self._choices[-1]
        for choice in self._choices:
            async for batch in self._read(choice):
                if batch and self._first_token_s is None:
                    self._first_token_s = self._with.clock.elapsed_s()
                    batch[:0] = self._found()
                if batch and isinstance(batch[-1], Ending):
                    self._finish_reason = batch[-1].reason
                    if choice is last:
                        self._finished = True
                        # the next request may have the slot while we still write: DESIGN "Settle"
                        self._slot_return = asyncio.create_task(self._give_slot_back())
                yield batch

    def _found(self) -> Batch:
        """What the search found, as it is told before the first piece: with it, so that the engine can still refuse."""
        fields = self._findings.fields() if self._findings is not None else {}
        return [Extra(self._choices[0].index, fields)] if fields else []

    async def _give_slot_back(self) -> None:
        served_s = None
        if self._finished and self._slot_since_s is not None:
            served_s = self._with.clock.elapsed_s() - self._slot_since_s
        try:
            await self._with.lines.leave(self._order.model.id, self._lease.request_id, served_s=served_s)
        except GatewayError:
            logger.warning("slot not given back; it expires", extra={"lease": self._lease.request_id})

    async def _close(self, error: BaseException | None, job: JobEnd | None) -> Settlement:
        if self._first is not None and not self._first.done():
            self._first.cancel()
            await asyncio.wait({self._first})
        if self._first is not None and not self._first.cancelled():
            self._first.exception()  # nobody may have read it: a client that left does not want to know
        await self._batches.aclose()
        if self._slot_return is None and self._slot_since_s is not None:
            self._slot_return = asyncio.create_task(self._give_slot_back())
        settlement = self._settlement(error, job)
        await self._with.settle(settlement)
        if self._slot_return is not None:
            await self._slot_return
        for lease in self._account.dead_leases(self._lease.admitted_s):
            await self._with.settle(lost(lease, now_s=self._lease.admitted_s))
        return settlement

    def _settlement(self, error: BaseException | None, job: JobEnd | None) -> Settlement:
        ended_s = self._with.clock.elapsed_s()
        status, http_status = self._judge(error)
        usage = Usage(Tokens(), 0) if status == "failed" else self.usage
        return Settlement(
            lease=self._lease,
            status=status,
            http_status=http_status,
            tokens=usage.tokens,
            cost_nano_usd=usage.cost_nano_usd,
            ended_s=int(self._with.clock.now_s()),
            finish_reason=self._finish_reason,
            stream=self._order.stream,
            first_token_ms=_milliseconds(self._started_s, self._first_token_s),
            duration_ms=_milliseconds(self._started_s, ended_s),
            line_ms=None
            if self._line_since_s is None
            else _milliseconds(self._line_since_s, self._slot_since_s or ended_s),
            reason=None if status == "ok" else _reason_of(error),
            searches=self._findings.requests if self._findings else 0,
            stale=self._account.stale,
            job=job,
        )

    def _judge(self, error: BaseException | None) -> tuple[Status, int]:
        if error is None and self._finished:
            return "ok", 200
        http_status = CLIENT_GONE
        if isinstance(error, GatewayError):
            http_status = error.status
        elif isinstance(error, Exception):
            http_status = 500
        # a buffered answer that broke off was never delivered, so nothing of it is charged
        delivered = self._order.stream and self._first_token_s is not None
        return ("partial" if delivered else "failed"), http_status

    def _priced(self, tokens: Tokens) -> Usage:
        model, found = self._order.model, self._findings
        cost = model.cost_nano_usd(prompt_tokens=tokens.prompt, completion_tokens=tokens.completion)
        if found is None:
            return Usage(tokens, cost)
        details = {"server_tool_use_details": {"web_search_requests": found.requests}}
        return Usage(tokens, cost + found.cost_nano_usd, details)


async def _next(batches: AsyncGenerator[Batch, None]) -> Batch | None:
    return await anext(batches, None)


def _reason_of(error: BaseException | None) -> str:
    if isinstance(error, GatewayError):
        return error.reason or error.type
    return ServerError.type if isinstance(error, Exception) else "client_gone"


def _milliseconds(since_s: float, until_s: float | None) -> int | None:
    return None if until_s is None else max(0, round((until_s - since_s) * 1000))
