"""The small ports in memory; the larger ones are `fake_ledger`, `fake_lines` and `fake_engine`."""

from __future__ import annotations

import asyncio
from itertools import count

from gateway.domain.line import ModelStatus
from gateway.domain.models import Model
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
