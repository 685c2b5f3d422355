"""What must happen even if nobody asks: dead leases are settled, and models are described as they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.application.ports import Accounts, Bus, Clock, Fleet, Lines
from gateway.application.settling import Settle
from gateway.catalogue import Catalogue
from gateway.domain.line import Line
from gateway.domain.models import Model
from gateway.domain.usage import lost

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Settles the leases whose process died: as lost, charging nothing, giving the reserved quota back."""

    accounts: Accounts
    settle: Settle
    clock: Clock

    async def __call__(self) -> int:
        """Looks at every account once; returns how many leases were dead."""
        swept = 0
        async for account_id in self.accounts.ids():
            account = await self.accounts.read(account_id)
            now_s = self.clock.now_s()
            for lease in account.dead_leases(now_s) if account else ():
                logger.warning("lease outlived its process", extra={"lease": lease.request_id, "model": lease.model})
                await self.settle(lost(lease, now_s=now_s))
                swept += 1
        return swept


@dataclass(frozen=True, slots=True)
class WatchModels:
    """Keeps each model's item true: its state, its copies, and nobody dead in its line."""

    catalogue: Catalogue
    fleet: Fleet
    lines: Lines
    bus: Bus
    clock: Clock

    async def __call__(self, models: Iterable[Model] | None = None) -> list[Line]:
        """Looks at these models, or all, and returns their lines as they are then."""
        return [await self._watch(model) for model in models or self.catalogue.models.values()]

    async def _watch(self, model: Model) -> Line:
        before = await self.lines.look(model.id)
        status, copies = await self.fleet.copies(model)
        if status == before.status == "off":
            return before
        line = await self.lines.describe(model.id, status=status, copies=copies, slots=copies * model.slots_per_copy)
        if line.status != before.status:
            logger.info("model %s is %s with %d copies", model.id, line.status, copies)
        if (line.status, line.copies) != (before.status, before.copies):
            change = {"model": model.id, "status": line.status, "copies": line.copies}
            await self.bus.publish("ModelStateChanged", change)
        now_s = self.clock.now_s()
        if line.dead(now_s):
            await self.lines.remove_dead(line, now_s=now_s)
            line = await self.lines.look(model.id)
        await self.lines.tidy(line)
        if line.status == "warming" and line.is_wanted(now_s):
            await self.fleet.wake(model)
        return line
