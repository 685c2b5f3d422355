"""One HTTP/1.1 connection on the event loop: a request out, its answer back in parts, then the next.

httptools reads the bytes as they come. A slow reader stops the socket: of an answer no more is in memory than
`HIGH_WATER` bytes and what one read of the socket brings (256 KiB by asyncio).
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from math import inf
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.adapters.aws.wire.errors import AnswerTimeout, ConnectionLost, TransportFailed

HIGH_WATER = 256 << 10
DRAIN_S = 1.0
"""The end of a body follows the end of its answer at once; a host that keeps it open loses the connection."""
_MOST_HEAD = 64 << 10
_OK = 200


class Answer:
    """What comes back for one request. Whoever asked closes it.

    One that is `seen_through` is waited for by a caller who is cancelled meanwhile too, and he is told behind it: what
    undoes a write must not overtake it.
    """

    __slots__ = (
        "_body", "_cancelled", "_connection", "_draining", "_failure", "_held", "_seen_through", "_waiter", "_woken",
        "complete", "headers", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, *, seen_through: bool = False) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """By lower-case name; of a repeated one the last."""
        self.complete = False
        self._connection = connection
        self._seen_through = seen_through
        self._cancelled = False
        self._body: deque[bytes] = deque()
        self._held = 0
        self._failure: TransportFailed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._draining: asyncio.TimerHandle | None = None

    async def opened(self, *, timeout_s: float) -> None:
        """Returns when status and headers are there. Raises TransportFailed."""
        if not self.status and self._failure is None:
            await self._wait(timeout_s)
        if not self.status:
            self._tell_cancelled()
            raise self._failure or AnswerTimeout("no answer")

    async def read(self, *, timeout_s: float) -> list[bytes] | None:
        """The parts that came since the last read; `[]` at the end, None after so long a silence.

        Raises TransportFailed behind the last part that came.
        """
        if not self._body and not self.complete and self._failure is None:
            await self._wait(timeout_s)
        if self._body:
            parts = list(self._body)
            self._body.clear()
            self._held = 0
            self._connection.resume()
            return parts
        if self._failure is not None:
            raise self._failure
        return [] if self.complete else None

    async def whole(self, *, most_bytes: int, timeout_s: float) -> bytes:
        """The body. Raises TransportFailed where it is larger, or silent for so long."""
        body = bytearray()
        try:
            while parts := await self.read(timeout_s=timeout_s):
                for part in parts:
                    body += part
                if len(body) > most_bytes:
                    raise TransportFailed(f"an answer of more than {most_bytes} bytes")
        finally:
            self._tell_cancelled()
        if parts is None:
            raise AnswerTimeout("silence within an answer")
        return bytes(body)

    def close(self, *, drain: bool = False) -> None:
        """Gives the connection back, or ends it where the answer has not ended. Closing again changes nothing.

        With `drain` an answer whose end is about to come has a moment for it: then the connection is used again.
        """
        if self._draining is not None:
            return
        if drain and not self.complete and self._failure is None:
            self._draining = asyncio.get_running_loop().call_later(DRAIN_S, self._connection.finish, self)
            self._body.clear()
            self._connection.resume()
        else:
            self._connection.finish(self)

    async def _wait(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._connection.watch(loop, loop.time() + timeout_s)
        self._woken = False
        try:
            while not self._woken:
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                except asyncio.CancelledError:
                    if not self._seen_through:
                        raise
                    self._cancelled = True
        finally:
            self._connection.rest()
            self._waiter = None

    def _tell_cancelled(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError

    # what the connection tells

    def wake(self) -> None:
        """Something has come, or the time for it is over."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def begin(self, status: int) -> None:
        """The head is there."""
        self.status = status
        self.wake()

    def take(self, data: bytes) -> bool:
        """A part of the body; tells whether there is room for more."""
        if self._draining is not None:
            return True
        self._body.append(data)
        self._held += len(data)
        self.wake()
        return self._held <= HIGH_WATER

    def end(self) -> None:
        """The body has ended."""
        self.complete = True
        self.wake()
        self._stop_draining()

    def fail(self, failure: TransportFailed) -> None:
        """Nothing more will come."""
        self._failure = failure
        self.wake()
        self._stop_draining()

    def _stop_draining(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._connection.finish(self)


class Connection(asyncio.Protocol):
    """The protocol of one socket. `on_free` is told when it can be used again, `on_lost` when it never can."""

    def __init__(self, *, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]) -> None:
        self.free_since_s = 0.0
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._peek = select.poll()
        self._answer: Answer | None = None
        self._heard = False
        self._all_sent = True
        self._ends_with_connection = False
        self._reusable = True
        self._lost = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wake_s = inf

    def ask(self, request: bytes, *, seen_through: bool = False) -> Answer:
        """Sends a request whose answer has not been closed when the next one goes out: never."""
        assert self._answer is None, "one request at a time"
        self._heard = False
        self._ends_with_connection = False
        self._head_bytes = 0
        self._answer = answer = Answer(self, seen_through=seen_through)
        if self._lost:
            answer.fail(ConnectionLost("the connection was closed at once", heard=False, taken=False))
        else:
            self._transport.write(request)
        return answer

    def watch(self, loop: asyncio.AbstractEventLoop, until_s: float) -> None:
        """Has whoever waits for the answer woken when the loop's time is `until_s`, or told another by then.

        One timer does for all waits of a connection: nearly all end long before it, and making one costs more than
        looking at the clock.
        """
        self._wake_s = until_s
        if self._timer is None or self._timer.when() > until_s:
            self._stop_timer()
            self._timer = loop.call_at(until_s, self._look_at_the_clock, loop)

    def rest(self) -> None:
        """Nobody waits."""
        self._wake_s = inf

    def is_alive(self) -> bool:
        """Whether a request may be sent: the socket is open, and no end or surplus lies in it unread.

        The loop tells of a closed socket only when it comes round to it. A process that was frozen (Lambda) has slept
        through many of them.
        """
        return not self._transport.is_closing() and not self._peek.poll(0)

    def finish(self, answer: Answer) -> None:
        """The end of one answer, as its asker sees it: the connection is free, or ended in the middle of it."""
        if self._answer is not answer:
            return
        if answer.complete and self._reusable and not self._transport.is_closing():
            self._answer = None
            self._transport.resume_reading()
            self._on_free(self)
        else:
            self.abort()

    def resume(self) -> None:
        """The asker has room again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes the socket now; whoever is at the other end sees it at once."""
        self._transport.abort()

    def _look_at_the_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._wake_s > loop.time():
            if self._wake_s < inf:
                self.watch(loop, self._wake_s)
        elif self._answer is not None:
            self._answer.wake()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # told of every byte that the kernel has not taken yet: what was not all sent was not acted on
        self._transport.set_write_buffer_limits(high=0)
        self._peek.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def pause_writing(self) -> None:
        self._all_sent = False

    def resume_writing(self) -> None:
        self._all_sent = True

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(TransportFailed("not HTTP/1.1"))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._stop_timer()
        if (answer := self._asked()) is not None:
            if error is None and self._ends_with_connection:
                answer.end()
            else:
                why = "the connection was closed" if error is None else str(error)
                answer.fail(ConnectionLost(why, heard=self._heard, taken=self._all_sent))
        self._on_lost(self)

    # httptools

    def on_message_begin(self) -> None:
        if self._asked() is None:
            self._fail(TransportFailed("an answer that nobody asked for"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MOST_HEAD:
            self._fail(TransportFailed("endless headers"))
        elif (answer := self._asked()) is not None and not answer.status:  # with a status they are trailers
            answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status, answer = self._parser.get_status_code(), self._asked()
        if answer is None or status < _OK:
            return
        self._reusable = self._parser.should_keep_alive()
        headers = answer.headers
        self._ends_with_connection = b"content-length" not in headers and b"transfer-encoding" not in headers
        answer.begin(status)

    def on_body(self, data: bytes) -> None:
        answer = self._asked()
        if answer is not None and not answer.take(data):
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        answer = self._asked()
        if answer is None:
            return
        if answer.status:
            answer.end()
        else:  # 1xx: the real one follows
            answer.headers.clear()

    def _asked(self) -> Answer | None:
        """The answer that is being read."""
        answer = self._answer
        return None if answer is None or answer.complete else answer

    def _fail(self, failure: TransportFailed) -> None:
        self._reusable = False
        if (answer := self._asked()) is not None:
            answer.fail(failure)
        self.abort()
