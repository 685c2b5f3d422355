"""The callback function."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.queues import CALLBACKS
from gateway.adapters.web.guarded import GuardedWeb
from gateway.application.calling import MakeCallback
from gateway.application.ports import Web
from gateway.bootstrap.parts.queued import Queued
from gateway.domain.callbacks import PORTS
from gateway.entrypoints.events.callback import CallbackHandler

CALLBACK_TIMEOUT_S = 10.0
"""A host that a client names has so long to answer, redirects and body included."""


class CallbackFunction(Queued):
    """Tells clients' hosts of jobs that have ended."""

    @cached_property
    def callback_web(self) -> Web:
        """What callbacks are sent by."""
        return GuardedWeb(ports=PORTS, timeout_s=CALLBACK_TIMEOUT_S)

    def callback_handler(self) -> CallbackHandler:
        """The handler of the callback function."""
        self.start_logging()
        make_callback = MakeCallback(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            web=self.callback_web,
            clock=self.clock,
        )
        return CallbackHandler(make_callback, CALLBACKS.validate_json)
