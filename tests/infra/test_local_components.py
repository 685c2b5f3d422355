"""The control plane of the SageMaker stand-in: copies come, go, and take their time."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.components import COPY_STARTS_IN_S, Components
from infra.local.engine_plug import Refusal

NAME = "studiolm-small"


class Plane:
    """One component, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.components = Components([NAME], clock=lambda: self.now_s)

    def set_copies(self, count: int, name: str = NAME) -> dict[str, Any]:
        wanted = {"InferenceComponentName": name, "DesiredRuntimeConfig": {"CopyCount": count}}
        return self.components.call("UpdateInferenceComponentRuntimeConfig", wanted)

    def told(self) -> tuple[str, int, int]:
        answer = self.components.call("DescribeInferenceComponent", {"InferenceComponentName": NAME})
        counts = answer["RuntimeConfig"]
        return answer["InferenceComponentStatus"], counts["DesiredCopyCount"], counts["CurrentCopyCount"]


def test_a_component_starts_with_a_copy_in_service() -> None:
    assert Plane().told() == ("InService", 1, 1)


def test_a_copy_that_goes_is_gone_at_once() -> None:
    plane = Plane()
    plane.set_copies(0)
    assert plane.told() == ("InService", 0, 0)


def test_copies_that_come_take_their_time_and_then_answer() -> None:
    plane = Plane()
    plane.set_copies(0)
    plane.set_copies(2)
    assert plane.told() == ("Updating", 2, 0)
    assert plane.components.in_service(NAME) == 0
    plane.now_s += COPY_STARTS_IN_S
    assert plane.components.in_service(NAME) == 2
    assert plane.told() == ("InService", 2, 2)


def test_a_component_that_is_being_updated_takes_no_other_update() -> None:
    plane = Plane()
    plane.set_copies(2)
    with pytest.raises(Refusal) as caught:
        plane.set_copies(3)
    assert caught.value.code == "ValidationException"
    plane.now_s += COPY_STARTS_IN_S
    plane.set_copies(3)
    assert plane.told() == ("Updating", 3, 2)


def test_what_is_not_there_is_neither_told_of_nor_changed() -> None:
    plane = Plane()
    with pytest.raises(Refusal):
        plane.set_copies(1, name="studiolm-other")
    with pytest.raises(Refusal):
        plane.components.call("DescribeEndpoint", {"EndpointName": "studiolm-other"})
    with pytest.raises(Refusal):
        plane.components.call("DeleteEndpoint", {"EndpointName": NAME})
