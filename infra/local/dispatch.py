"""API Gateway's routing as an ASGI app: each request goes to the function whose event names its method and path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.local.functions import Route

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_PARAMETER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class _Pattern:
    method: str
    form: re.Pattern[str]
    rank: tuple[int, ...]
    """Sorts as API Gateway chooses: segment by segment a literal before a parameter before a greedy one."""
    app: App


def _compile(route: Route, app: App) -> _Pattern:
    segments = route.path.strip("/").split("/")
    forms, rank = [], []
    for segment in segments:
        match = _PARAMETER.fullmatch(segment)
        greedy = match is not None and match[1].endswith("+")
        forms.append(re.escape(segment) if match is None else ".+" if greedy else "[^/]+")
        rank.append(0 if match is None else 2 if greedy else 1)
    rank.append(int(route.method == "ANY"))
    return _Pattern(route.method, re.compile("/" + "/".join(forms) + "/?"), tuple(rank), app)


@dataclass
class _Lifespan:
    """One app's lifespan, run as a task beside the server's."""

    app: App
    state: dict[str, Any] = field(default_factory=dict)
    _orders: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    _answers: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    async def start(self) -> Message:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope))
        return await self._tell("lifespan.startup")

    async def stop(self) -> Message:
        answer = await self._tell("lifespan.shutdown")
        await self._task
        return answer

    async def _run(self, scope: Message) -> None:
        await self.app(scope, self._orders.get, self._answers.put)

    async def _tell(self, order: str) -> Message:
        await self._orders.put({"type": order})
        answering = asyncio.create_task(self._answers.get())
        await asyncio.wait({answering, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        answering.cancel()
        self._task.result()
        return {"type": f"{order}.complete"}


class Dispatcher:
    """Serves several apps as one. What no route names goes to the last app."""

    def __init__(self, apps: Sequence[tuple[App, Sequence[Route]]]) -> None:
        self._patterns = sorted(
            (_compile(route, app) for app, routes in apps for route in routes), key=lambda pattern: pattern.rank
        )
        self._fallback = apps[-1][0]
        self._lifespans = {id(app): _Lifespan(app) for app, _ in apps}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        app = self.app_for(scope.get("method", "GET"), scope["path"])
        await app({**scope, "state": dict(self._lifespans[id(app)].state)}, receive, send)

    def app_for(self, method: str, path: str) -> App:
        """The app that API Gateway would call."""
        for pattern in self._patterns:
            if pattern.method in (method, "ANY") and pattern.form.fullmatch(path):
                return pattern.app
        return self._fallback

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        for lifespan in self._lifespans.values():
            answer = await lifespan.start()
            if answer["type"] == "lifespan.startup.failed":
                await send(answer)
                return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for lifespan in self._lifespans.values():
            await lifespan.stop()
        await send({"type": "lifespan.shutdown.complete"})
