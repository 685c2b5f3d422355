"""SageMaker's control plane for inference components: what is told of them, and how their copies come and go.

Each engine stands behind an endpoint with one inference component of the same name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.local.credentials import ACCOUNT_ID, REGION
from infra.local.engine_plug import Refusal

COPY_STARTS_IN_S = 1.0
"""How long a component is `Updating` before its copies are there; on AWS that takes minutes."""
_PREFIX = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}"


@dataclass(slots=True)
class _Copies:
    """`current` copies until `ready_at`, then `desired` ones."""

    desired: int = 1
    current: int = 1
    ready_at: float = 0.0


class Components:
    """The components of these names, each with one copy at first. `clock` counts seconds."""

    def __init__(self, names: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._copies = {name: _Copies() for name in names}
        self._started = time.time()
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "DescribeInferenceComponent": self._describe,
            "DescribeEndpoint": self._describe_endpoint,
            "UpdateInferenceComponentRuntimeConfig": self._update,
        }

    def call(self, operation: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What an operation of the control plane answers. Raises Refusal."""
        if operation not in self._operations:
            raise Refusal(400, "UnknownOperationException", "")
        return self._operations[operation](fields)

    def in_service(self, name: str) -> int:
        """How many copies of a component answer."""
        copies = self._copies[name]
        if copies.current != copies.desired and self._clock() >= copies.ready_at:
            copies.current = copies.desired
        return copies.current

    def _component(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        name = fields["InferenceComponentName"]
        arn = f"{_PREFIX}:inference-component/{name}"
        if name not in self._copies:
            raise Refusal(400, "ValidationException", f'Could not find inference component "{arn}".')
        return name, arn

    def _describe(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        name, arn = self._component(fields)
        current, desired = self.in_service(name), self._copies[name].desired
        return {
            "InferenceComponentName": name,
            "InferenceComponentArn": arn,
            "EndpointName": name,
            "EndpointArn": f"{_PREFIX}:endpoint/{name}",
            "VariantName": "AllTraffic",
            "RuntimeConfig": {"DesiredCopyCount": desired, "CurrentCopyCount": current},
            "CreationTime": self._started,
            "LastModifiedTime": self._started,
            "InferenceComponentStatus": "InService" if current == desired else "Updating",
        }

    def _update(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        name, arn = self._component(fields)
        copies, wanted = self._copies[name], int(fields["DesiredRuntimeConfig"]["CopyCount"])
        if self.in_service(name) != copies.desired:
            raise Refusal(400, "ValidationException", f'Cannot update in-progress inference component "{arn}".')
        copies.desired = wanted
        # a copy that goes is gone at once, one that comes has to start
        copies.current = min(copies.current, wanted)
        copies.ready_at = self._clock() + COPY_STARTS_IN_S
        return {"InferenceComponentArn": arn}

    def _describe_endpoint(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        name = fields["EndpointName"]
        arn = f"{_PREFIX}:endpoint/{name}"
        if name not in self._copies:
            raise Refusal(400, "ValidationException", f'Could not find endpoint "{arn}".')
        return {
            "EndpointName": name,
            "EndpointArn": arn,
            "EndpointConfigName": name,
            "EndpointStatus": "InService",
            "ProductionVariants": [{"VariantName": "AllTraffic", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}],
            "CreationTime": self._started,
            "LastModifiedTime": self._started,
        }
