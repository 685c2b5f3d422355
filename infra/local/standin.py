"""The SageMaker stand-in as a server in a thread, for the engine's process and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from threading import Thread

from infra.local.engine_plug import EnginePlug
from infra.local.http_server import LoopbackServer
from infra.local.sagemaker import SageMaker


class StandIn:
    """A running stand-in: `url` is the endpoint URL of both SageMaker services."""

    def __init__(self, engines: Mapping[str, EnginePlug]) -> None:
        started: Future[str] = Future()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = Thread(target=self._run, args=(engines, started), name="sagemaker", daemon=True)
        self._thread.start()
        self.url = started.result()

    def _run(self, engines: Mapping[str, EnginePlug], started: Future[str]) -> None:
        async def serve() -> None:
            server = LoopbackServer(SageMaker(engines))
            started.set_result(await server.start())
            await self._stopping.wait()
            await server.close()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def stop(self) -> None:
        """Drop every connection and end; what was being generated is stopped."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()


def start_sagemaker_standin(engines: Mapping[str, EnginePlug]) -> StandIn:
    """A stand-in that serves these engines by endpoint name on a free port of 127.0.0.1."""
    return StandIn(engines)
