"""Who makes orders of requests."""

from __future__ import annotations

from functools import cached_property

from gateway.application.orders import Orders
from gateway.bootstrap.parts.process import Process


class Ordering(Process):
    """Reads requests for the catalogue's models."""

    @cached_property
    def orders(self) -> Orders:
        return Orders(self.catalogue, self.ids)
