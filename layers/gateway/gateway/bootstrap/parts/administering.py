"""Who opens accounts and changes them."""

from __future__ import annotations

from functools import cached_property

from gateway.application.administration import Administration
from gateway.bootstrap.parts.process import Process


class Administering(Process):
    """What the operator may do with any account."""

    @cached_property
    def administration(self) -> Administration:
        return Administration(self.accounts, self.catalogue, self.ids, self.clock)
