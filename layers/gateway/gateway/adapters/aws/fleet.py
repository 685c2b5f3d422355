"""Copies of models, as SageMaker's inference components tell them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.domain.line import ModelStatus
from gateway.domain.models import Model

_NO_SUCH_COMPONENT = "ValidationException"
_FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class SageMakerFleet:
    """Keeps the promises of `ports.Fleet`."""

    clients: Clients
    stack_name: str

    async def copies(self, model: Model) -> tuple[ModelStatus, int]:
        """See `ports.Fleet.copies`. A component that is not there is off; one without a copy in service is warming."""
        try:
            answer = await self.clients.call(
                "sagemaker",
                "describe_inference_component",
                InferenceComponentName=model.resource_name(self.stack_name),
            )
        except AwsRefusal as error:
            if error.code != _NO_SUCH_COMPONENT:
                raise
            return "off", 0
        if answer["InferenceComponentStatus"] == _FAILED:
            return "off", 0
        copies = int(answer.get("RuntimeConfig", {}).get("CurrentCopyCount", 0))
        return ("ready" if copies else "warming"), copies

    async def wake(self, model: Model) -> None:
        """See `ports.Fleet.wake`."""
        try:
            await self.clients.call(
                "sagemaker",
                "update_inference_component_runtime_config",
                InferenceComponentName=model.resource_name(self.stack_name),
                DesiredRuntimeConfig={"CopyCount": 1},
            )
        except AwsRefusal as error:
            # a component that is being updated refuses another update: it is on its way already
            if error.code != _NO_SUCH_COMPONENT:
                raise
