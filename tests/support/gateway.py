"""All functions and the operator's command over one set of parts: what a test looks at from every side."""

from __future__ import annotations

from gateway.bootstrap.account import AccountFunction
from gateway.bootstrap.admin import AdminCommand
from gateway.bootstrap.callback import CallbackFunction
from gateway.bootstrap.chat import ChatFunction
from gateway.bootstrap.intake import IntakeFunction
from gateway.bootstrap.outbox import OutboxFunction
from gateway.bootstrap.upkeep import UpkeepFunction
from gateway.bootstrap.worker import WorkerFunction


class Gateway(
    ChatFunction,
    AccountFunction,
    WorkerFunction,
    IntakeFunction,
    OutboxFunction,
    UpkeepFunction,
    CallbackFunction,
    AdminCommand,
):
    """The whole service in one process."""
