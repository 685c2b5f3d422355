"""Jobs as their accounts see them."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from gateway.application.ports import Blobs
from gateway.domain.jobs import Job, job_to_json

LINK_LIFETIME_S = 3600


def show_job(job: Job, blobs: Blobs) -> dict[str, Any]:
    """The job as the API shows it: its answer inline where it is small, as a link where it is not."""
    if job.answer is None:
        return job_to_json(job, answer=None, answer_url=None)
    if job.answer.stored is not None:
        url = blobs.url(job.answer.stored, seconds=LINK_LIFETIME_S)
        return job_to_json(job, answer=None, answer_url=url)
    return job_to_json(job, answer=from_json(job.answer.inline or "null"), answer_url=None)
