"""The account function."""

from __future__ import annotations

from gateway.application.access import Access
from gateway.bootstrap.parts.accounting import Accounting
from gateway.bootstrap.parts.batching import Batching
from gateway.bootstrap.parts.submission import Submission
from gateway.entrypoints.http.account import build_account_app
from gateway.entrypoints.http.batches import BatchRoutes
from gateway.entrypoints.http.desk import Desk
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.http.files import FileRoutes
from gateway.entrypoints.http.jobs import JobRoutes
from gateway.entrypoints.http.keys import KeyRoutes
from gateway.entrypoints.http.models import ModelRoutes


class AccountFunction(Accounting, Batching, Submission):
    """All that is answered without generating."""

    def account_app(self) -> Envelope:
        """The application of the account function."""
        operations = [
            *ModelRoutes(self.orders, self.lines, self.report).operations(),
            *KeyRoutes(self.keyring).operations(),
            *JobRoutes(self.enqueue, self.settings.max_body_bytes).operations(),
            *FileRoutes(self.files, self.jobs).operations(),
            *BatchRoutes(self.batches, self.jobs).operations(),
        ]
        desk = Desk(Access(self.accounts, self.clock), self.clock)
        return build_account_app(desk, operations, new_request_id=self.ids.request_id)
