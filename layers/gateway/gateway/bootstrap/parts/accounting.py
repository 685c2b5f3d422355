"""What an account's holder and the operator both do."""

from __future__ import annotations

from functools import cached_property

from gateway.application.keyring import Keyring
from gateway.application.reporting import UsageReport
from gateway.bootstrap.parts.process import Process


class Accounting(Process):
    """An account's keys, and what it has used."""

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.accounts, self.catalogue, self.ids, self.clock)

    @cached_property
    def report(self) -> UsageReport:
        return UsageReport(self.accounts, self.catalogue, self.clock)
