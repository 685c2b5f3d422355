"""What the use cases need of the world, as promises.

Each promise is kept by every adapter and by the fake, and one contract suite holds them to it
(`tests/contract`). Times are Unix seconds; token counts are the engine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from gateway.domain.admission import Account, KeyRecord
    from gateway.domain.batches import Batch, BatchStep, File
    from gateway.domain.jobs import Callback, Job, JobEnd, JobRef
    from gateway.domain.line import Line, ModelStatus, Waiter
    from gateway.domain.models import Model
    from gateway.domain.search import ImageResult, WebResult
    from gateway.domain.usage import Breakdown, Lease, Settlement


class Clock(Protocol):
    """Time, and what a wait is randomised by."""

    def now_s(self) -> float:
        """Unix time in seconds."""
        ...

    def elapsed_s(self) -> float:
        """Seconds since some moment, on a clock that nobody sets: it says how long, never when."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after at least so long."""
        ...

    def jitter(self) -> float:
        """A number from 0 to 1, another each time."""
        ...


class Ids(Protocol):
    """Fresh names: unguessable, never the same twice."""

    def request_id(self) -> str:
        """24 URL-safe characters."""
        ...

    def account_id(self) -> str:
        """An account id (`domain/keys`)."""
        ...

    def key_id(self) -> str:
        """A key id (`domain/keys`)."""
        ...

    def key_secret(self) -> str:
        """A key's secret (`domain/keys`)."""
        ...


class Ledger(Protocol):
    """Who may run, what is running, and what was used: the money side of a request."""

    async def admit(self, lease: Lease, *, key_hash: str | None) -> Account:
        """Authenticates and reserves in one conditional write, and returns the account with the lease in it.

        `key_hash` is None where a trusted event source asks in the account's name; the account must still be active.
        Admitting the same lease again changes nothing and returns the account.
        Raises AuthenticationFailed, PermissionDenied, RateLimited, or ServiceUnavailable where the table is out of
        reach; then nothing is reserved, but for a write whose every answer was lost: the sweep gives that back.
        """
        ...

    async def claim_quota_event(self, account_id: str, *, day: str) -> bool:
        """Whether the caller is the one to tell that the account's tokens of this UTC day are used up.

        Raises ServiceUnavailable where the table is out of reach.
        """
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Records the usage, adds it to the day and ends the lease and the job, if it has one, in one transaction.

        A job that another claim holds by now, or that was cancelled, is left alone and nothing is charged.
        Raises LeaseGone where the lease was settled before (nothing changes; the very same settlement again may also
        return as it did the first time), Unsettled where the table refuses for now (repeating is safe).
        """
        ...


class Accounts(Protocol):
    """Accounts, their keys and their usage."""

    async def read(self, account_id: str) -> Account | None:
        """The account as it is at this moment (strongly consistent)."""
        ...

    async def create(self, account: Account) -> None:
        """Writes a new account; the same one again changes nothing. Raises ValueError where another has the id."""
        ...

    async def replace_keys(self, account: Account, keys: Mapping[str, KeyRecord]) -> bool:
        """Replaces all keys if nobody changed them since `account` was read; tells whether it did, also to a repeat."""
        ...

    async def update(self, account: Account) -> None:
        """Writes name, plan, activity, cap and limits. Raises KeyError where there is no such account."""
        ...

    def ids(self) -> AsyncIterator[str]:
        """All account ids, in no order that means anything."""
        ...

    async def usage_by_day(self, account_id: str, *, first: str, last: str) -> dict[str, Breakdown]:
        """The totals of each day from `first` to `last` (`20261123`), both in, that has any."""
        ...


class Lines(Protocol):
    """The slots of each model and the line before them."""

    async def take(self, model: str, *, request_id: str, account_id: str, deadline_s: float) -> Line | None:
        """Takes a slot if one is free and nobody waits: None means taken, a Line says how things stand instead.

        Raises ServiceUnavailable where the table is out of reach.
        """
        ...

    async def join(self, model: str, waiter: Waiter, *, max_waiting: int, instead_of: str | None = None) -> bool:
        """Takes a place in the line unless it is full; tells whether the request has one then.

        With `instead_of`, takes the place of that request, if it still waits.
        """
        ...

    async def look(self, model: str) -> Line:
        """The line as it is at this moment (strongly consistent)."""
        ...

    async def take_turn(self, model: str, waiter: Waiter, *, deadline_s: float) -> bool:
        """Turns a place in the line into a slot if one is free; tells whether it did."""
        ...

    async def leave(self, model: str, request_id: str, *, served_s: float | None = None) -> None:
        """Gives back the slot, or the place in the line, whichever the request holds; neither is no error.

        `served_s` is how long an answered request held its slot: it goes into the line's mean service time.
        """
        ...

    async def want(self, model: str, *, now_s: float) -> None:
        """Notes that somebody asked for a model that has no copy ready; upkeep wakes it."""
        ...

    async def remove_dead(self, line: Line, *, now_s: float) -> None:
        """Removes the holders and waiters that were dead in `line`, unless they were renewed since."""
        ...

    async def tidy(self, line: Line) -> None:
        """Forgets who had turns where nobody waits, and lets old service times fade: the item stays small and true."""
        ...

    async def describe(self, model: str, *, status: ModelStatus, copies: int, slots: int) -> Line:
        """Writes what is known of the model's copies and returns the line as it is then."""
        ...


class EngineStream(Protocol):
    """The running answer of an engine: the bytes of an OpenAI-compatible SSE body, cut anywhere."""

    async def read(self, *, timeout_s: float) -> list[bytes] | None:
        """The parts that came since the last read, at least one; `[]` at the end; None after so long a silence.

        Raises GatewayError where the stream broke.
        """
        ...

    def close(self, *, whole: bool = False) -> None:
        """Ends the stream and stops the engine's work as far as the transport can tell it. Never raises or waits.

        A `whole` answer has nothing to stop: the transport may come to its end by itself and be used again.
        """
        ...


class Engine(Protocol):
    """Where models run."""

    async def open(self, model: Model, body: Mapping[str, Any], *, timeout_s: float) -> EngineStream:
        """Starts a generation; `body` is an OpenAI chat body in the engine's dialect.

        Raises ContextExceeded, InvalidRequest, ServiceUnavailable, UpstreamTimeout or ServerError, as the engine or
        its host refused.
        """
        ...


class Outbox(Protocol):
    """Where a settlement waits that the ledger would not take."""

    async def put(self, settlement: Settlement) -> None:
        """Keeps it until somebody settles it. Raises Unsettled where not even this works."""
        ...


class Fleet(Protocol):
    """The copies of each model, as the platform knows them."""

    async def copies(self, model: Model) -> tuple[ModelStatus, int]:
        """Whether the model is served, and by how many copies in service."""
        ...

    async def wake(self, model: Model) -> None:
        """Asks for one copy where there is none; asking again changes nothing."""
        ...


class SearchBackend(Protocol):
    """A web search service."""

    name: str
    usd_per_request: float

    async def search(
        self,
        query: str,
        *,
        count: int,
        language: str | None = None,
        freshness_days: int | None = None,
        domains: Sequence[str] = (),
    ) -> list[WebResult]:
        """At most `count` pages, best first.

        Raises SearchFailed when the service refuses, breaks, or is over its time.
        """
        ...

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        """At most `count` images, best first. Raises SearchFailed."""
        ...


class Jobs(Protocol):
    """Queued requests and batches."""

    async def add(self, job: Job) -> bool:
        """Writes a new job; tells whether it was new. One that exists is not touched."""
        ...

    async def read(self, ref: JobRef) -> Job | None:
        """The job as it is at this moment."""
        ...

    async def claim(self, ref: JobRef, *, claim: str, now_s: int, until_s: int) -> Job | None:
        """Takes a free job for running; None where it has ended or another claim holds it."""
        ...

    async def release(self, ref: JobRef, *, claim: str) -> None:
        """Makes a claimed job queued again, if the claim still holds it."""
        ...

    async def end(self, end: JobEnd) -> bool:
        """Ends a job that used nothing, and counts it in its batch; tells whether this ended it."""
        ...

    async def add_batch(self, batch: Batch) -> bool:
        """Writes a new batch; tells whether it was new. One that exists is not touched."""
        ...

    async def read_batch(self, account_id: str, batch_id: str) -> Batch | None:
        """The batch with its counts as they are at this moment."""
        ...

    async def update_batch(self, batch: Batch) -> Batch | None:
        """Writes a batch and returns it as it is then; None, and nothing, if its revision is another by now."""
        ...

    async def list_batches(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[Batch], bool]:
        """A page of the account's batches, newest first, and whether there are more."""
        ...

    def open_batches(self) -> AsyncIterator[tuple[str, str]]:
        """Account id and batch id of every batch that has not ended."""
        ...

    def lines(self, batch: Batch) -> AsyncIterator[Job]:
        """All jobs of a batch in the order of their lines."""
        ...

    async def add_file(self, file: File) -> None:
        """Writes a file's record, new or changed."""
        ...

    async def read_file(self, account_id: str, file_id: str) -> File | None:
        """The file's record."""
        ...

    async def delete_file(self, account_id: str, file_id: str) -> None:
        """Forgets the file's record."""
        ...

    async def list_files(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[File], bool]:
        """A page of the account's files, newest first, and whether there are more."""
        ...


class JobQueue(Protocol):
    """Where jobs wait for a worker, and steps of batches for the intake. At least once, in no order."""

    async def send_job(self, model: Model, ref: JobRef, *, delay_s: int = 0) -> None:
        """Queues a job at its model, fairly between accounts; `delay_s` is at most 900."""
        ...

    async def send_jobs(self, model: Model, refs: Sequence[JobRef]) -> None:
        """Queues many."""
        ...

    async def send_step(self, step: BatchStep, *, delay_s: int = 0) -> None:
        """Queues a step of a batch."""
        ...

    async def send_callback(self, callback: Callback, *, delay_s: int = 0) -> None:
        """Queues a callback to be made."""
        ...


class Blobs(Protocol):
    """Texts and files too large for the table. Every call may raise ServiceUnavailable where they are out of reach."""

    async def write(self, key: str, data: bytes, *, content_type: str) -> None:
        """Keeps the bytes under the key."""
        ...

    async def write_stream(self, key: str, parts: AsyncIterator[bytes], *, content_type: str) -> int:
        """Keeps what comes, never all in memory; returns how many bytes it was."""
        ...

    async def read(self, key: str) -> bytes:
        """All bytes under the key. Raises KeyError."""
        ...

    def read_stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes under the key as they come. Raises KeyError."""
        ...

    async def size(self, key: str) -> int | None:
        """How many bytes are under the key, None where there are none."""
        ...

    async def delete(self, key: str) -> None:
        """Forgets the key; an unknown one is no error."""
        ...

    def url(self, key: str, *, seconds: int) -> str:
        """A link that reads the key for so long."""
        ...

    def upload_url(self, key: str, *, seconds: int, content_type: str) -> str:
        """A link that writes the key for so long."""
        ...


class Bus(Protocol):
    """Where events go that others may listen to (`infra/events`)."""

    async def publish(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Publishes one event. Raises nothing: an event that is lost is logged, the work it tells of is done."""
        ...


class Web(Protocol):
    """Hosts on the public internet that clients name, by https; nothing that is ours can be reached by it."""

    async def get(self, url: str, *, media_types: frozenset[str], max_bytes: int) -> bytes:
        """The body behind the URL and up to three redirects. Raises OutboundFailed."""
        ...

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """Sends the body and returns the status of the answer, which is not read. Raises OutboundFailed."""
        ...
