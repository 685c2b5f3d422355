"""Work that comes from AWS event sources, in an account's name and without a key of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.application.batching import Batches, BatchRequest
from gateway.application.enqueueing import Enqueue, JobRequest
from gateway.application.filing import Files
from gateway.application.finishing import FinishBatch
from gateway.application.orders import CHAT
from gateway.application.ports import Accounts
from gateway.application.splitting import SplitBatch
from gateway.domain.batches import BatchStep
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.job_request import parse_job_request
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
    split: SplitBatch
    finish: FinishBatch
    files: Files

    async def step(self, step: BatchStep) -> None:
        """Does the next step of a batch."""
        act = self.split if step.step == "split" else self.finish
        await act(step.account_id, step.batch_id)

    async def request(self, account_id: str, source: str, fields: Mapping[str, Any], *, event_id: str) -> Job:
        """A job for a request in the API's own shape; the same event makes the same job.

        `source` stands where a key's id would in the usage. Raises InvalidRequest, NotFound.
        """
        await self._check_account(account_id)
        own, body = parse_job_request(fields)
        if own.callback_url is not None:
            raise InvalidRequest(
                "'callback_url' needs a request with an API key, which is what a callback is signed with.",
                param="callback_url",
            )
        asked = JobRequest(
            body=body,
            endpoint=own.endpoint,
            metadata=own.metadata,
            job_id=f"job_{source}-{event_id}",
        )
        return await self.enqueue.submit(asked, key=ApiKey(account_id=account_id, key_id=source, hash=None))

    async def dropped(self, blob_key: str, source: str, *, drop_id: str, dropped_s: int) -> None:
        """A batch for a JSONL object under `inbox/<account>/`; its answers go under `outbox/<account>/` too.

        `drop_id` is of this drop alone: a second event of it makes no second batch. Objects elsewhere are left alone
        and logged. Raises InvalidRequest, NotFound for an account or an object that is not there.
        """
        account_id, _, name = blob_key.removeprefix(INBOX).partition("/")
        if not blob_key.startswith(INBOX) or not name.endswith(".jsonl"):
            logger.warning("object is no batch")
            return
        await self._check_account(account_id)
        # like a fresh id: it sorts by its time, and nobody can guess it
        digest = sha256(f"{blob_key}#{drop_id}".encode()).hexdigest()
        unique = f"{dropped_s:08x}{digest[:24]}"
        file = await self.files.adopt(account_id, file_id=f"file_{unique}", blob_key=blob_key, filename=name)
        asked = BatchRequest(
            input_file_id=file.id,
            endpoint=CHAT,
            batch_id=f"batch_{unique}",
            outbox_prefix=f"{OUTBOX}{account_id}/{name.removesuffix('.jsonl')}",
        )
        await self.batches.create(asked, key=ApiKey(account_id=account_id, key_id=source, hash=None))

    async def _check_account(self, account_id: str) -> None:
        if not is_account_id(account_id):
            raise InvalidRequest("The account id is missing or malformed.", param="account")
        if await self.accounts.read(account_id) is None:
            raise NotFound("There is no such account.", param="account")
