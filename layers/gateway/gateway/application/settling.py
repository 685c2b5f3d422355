"""The end of every admitted request: exactly one record, whatever happens."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.application.ports import Ledger, Outbox
from gateway.domain.errors import LeaseGone, Unsettled
from gateway.domain.usage import Settlement

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settle:
    """Settles with the ledger, and leaves the record in the outbox where the ledger refuses for now."""

    ledger: Ledger
    outbox: Outbox

    async def __call__(self, settlement: Settlement) -> None:
        """Never raises for a refusal: past ledger and outbox, the lease stays and the sweep records it as lost."""
        try:
            await self.ledger.settle(settlement)
        except LeaseGone:
            logger.info("settled before", extra={"lease": settlement.lease.request_id})
        except Unsettled:
            await self._leave_in_outbox(settlement)

    async def _leave_in_outbox(self, settlement: Settlement) -> None:
        try:
            await self.outbox.put(settlement)
            logger.warning("settlement left in the outbox", extra={"lease": settlement.lease.request_id})
        except Unsettled:
            logger.exception("settlement refused by ledger and outbox", extra={"lease": settlement.lease.request_id})
