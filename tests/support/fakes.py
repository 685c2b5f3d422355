"""The small ports in memory; the larger ones are `fake_ledger`, `fake_lines` and `fake_engine`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from gateway.domain.errors import SearchFailed
from gateway.domain.line import ModelStatus
from gateway.domain.models import Model
from gateway.domain.search import ImageResult, WebResult
from gateway.domain.usage import Settlement


class FakeOutbox:
    """Keeps the promises of `ports.Outbox`."""

    def __init__(self) -> None:
        self.kept: list[Settlement] = []

    async def put(self, settlement: Settlement) -> None:
        await asyncio.sleep(0)
        self.kept.append(settlement)


class FakeFleet:
    """Keeps the promises of `ports.Fleet`; what was not placed is off."""

    def __init__(self) -> None:
        self._copies: dict[str, int] = {}
        self.woken: list[str] = []

    def place(self, model: Model, *, copies: int) -> None:
        """Deploys the model with so many copies in service."""
        self._copies[model.id] = copies

    async def copies(self, model: Model) -> tuple[ModelStatus, int]:
        await asyncio.sleep(0)
        if model.id not in self._copies:
            return "off", 0
        copies = self._copies[model.id]
        return ("ready" if copies else "warming"), copies

    async def wake(self, model: Model) -> None:
        await asyncio.sleep(0)
        self.woken.append(model.id)


class FakeBus:
    """Keeps the promises of `ports.Bus`."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []

    async def publish(self, kind: str, detail: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        self.published.append((kind, dict(detail)))


class FakeSearch:
    """Keeps the promises of `ports.SearchBackend` over the pages it is given; without any it is out of order."""

    name = "fake"
    usd_per_request = 0.005

    def __init__(self, pages: Sequence[WebResult] = (), images: Sequence[ImageResult] = ()) -> None:
        self._pages, self._images = pages, images
        self.queries: list[str] = []

    async def search(
        self,
        query: str,
        *,
        count: int,
        language: str | None = None,
        freshness_days: int | None = None,
        domains: Sequence[str] = (),
    ) -> list[WebResult]:
        await asyncio.sleep(0)
        self.queries.append(query)
        if not self._pages:
            raise SearchFailed("out of order")
        return list(self._pages[:count])

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        await asyncio.sleep(0)
        self.queries.append(query)
        if not self._images:
            raise SearchFailed("out of order")
        return list(self._images[:count])


class NumberedIds:
    """Keeps the promises of `ports.Ids` but one: a test can guess them."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def request_id(self) -> str:
        return f"request{next(self._numbers):017d}"

    def account_id(self) -> str:
        return f"account{next(self._numbers):05d}"

    def key_id(self) -> str:
        return f"key{next(self._numbers):05d}"

    def key_secret(self) -> str:
        return f"Secret{next(self._numbers):026d}"
