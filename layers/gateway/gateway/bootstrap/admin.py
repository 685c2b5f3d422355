"""The operator's command."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.dead_letters import DeadLetters
from gateway.adapters.aws.weights import S3WeightsBucket
from gateway.adapters.hub import HuggingFaceHub
from gateway.application.staging import Progress, StageWeights
from gateway.bootstrap.parts.accounting import Accounting
from gateway.bootstrap.parts.administering import Administering


class AdminCommand(Accounting, Administering):
    """All that `studiolm-admin` does."""

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.clients, self.settings.stack_name)

    def stage_weights(self, *, bucket: str, hub_url: str, hub_token: str | None, progress: Progress) -> StageWeights:
        """What puts weights from a hub into a bucket."""
        hub = HuggingFaceHub(base_url=hub_url, token=hub_token)
        return StageWeights(hub, S3WeightsBucket(self.clients, bucket), progress)
