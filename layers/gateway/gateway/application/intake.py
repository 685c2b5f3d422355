"""Work that comes from AWS event sources, in an account's name and without a key of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.application.batching import Batches
from gateway.application.enqueueing import Enqueue, JobRequest
from gateway.application.filing import Files
from gateway.application.orders import CHAT
from gateway.application.ports import Accounts
from gateway.domain.batches import BatchStep
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.jobs import Job
from gateway.domain.keys import ApiKey, is_account_id

logger = logging.getLogger(__name__)

INBOX = "inbox/"
OUTBOX = "outbox/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Makes jobs and batches of events. The source was trusted by a policy of AWS; the account must exist."""

    accounts: Accounts
    enqueue: Enqueue
    batches: Batches
    files: Files

    async def step(self, step: BatchStep) -> None:
        """Does the next step of a batch."""
        act = self.batches.split if step.step == "split" else self.batches.finish
        await act(step.account_id, step.batch_id)

    async def request(self, account_id: str, source: str, fields: Mapping[str, Any], *, event_id: str) -> Job:
        """A job for a request in the API's own shape; the same event makes the same job.

        `source` stands where a key's id would in the usage. Raises InvalidRequest, NotFound.
        """
        await self._check_account(account_id)
        body = dict(fields)
        asked = JobRequest(
            endpoint=body.pop("endpoint", CHAT),
            callback_url=body.pop("callback_url", None),
            metadata=body.pop("metadata", None),
            body=body,
            job_id=f"job_{source}-{event_id}",
        )
        return await self.enqueue.submit(asked, key=ApiKey(account_id=account_id, key_id=source, hash=None))

    async def dropped(self, blob_key: str, source: str) -> None:
        """A batch for a JSONL object under `inbox/<account>/`; its answers go under `outbox/<account>/` too.

        Objects elsewhere, or of accounts that do not exist, are left alone and logged.
        """
        account_id, _, name = blob_key.removeprefix(INBOX).partition("/")
        if not blob_key.startswith(INBOX) or not name.endswith(".jsonl"):
            logger.warning("object is no batch")
            return
        await self._check_account(account_id)
        file = await self.files.adopt(account_id, blob_key=blob_key, filename=name)
        await self.batches.create(
            key=ApiKey(account_id=account_id, key_id=source, hash=None),
            input_file_id=file.id,
            endpoint=CHAT,
            metadata=None,
            outbox_prefix=f"{OUTBOX}{account_id}/{name.removesuffix('.jsonl')}",
        )

    async def _check_account(self, account_id: str) -> None:
        if not is_account_id(account_id):
            raise InvalidRequest("The account id is missing or malformed.", param="account")
        if await self.accounts.read(account_id) is None:
            raise NotFound("There is no such account.", param="account")
