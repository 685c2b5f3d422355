"""The promises of `ports.Fleet`, on the fake and on SageMaker's stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from gateway.adapters.aws.fleet import SageMakerFleet
from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.application.ports import Fleet

from tests.support.accounts import new_model
from tests.support.aws import connect
from tests.support.fakes import FakeFleet

pytestmark = pytest.mark.anyio
MODEL = new_model("small/model-1.5")
NAME = "stack-small-model-1-5"


@dataclass
class ControlPlane:
    """SageMaker's describe and update of inference components: what it answers, and what it was asked."""

    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusal: str | None = None
    updates: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, operation: str, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = fields["InferenceComponentName"]
        if self.refusal is not None:
            return 400, {"__type": self.refusal, "message": "no"}
        if name not in self.components:
            return 400, {"__type": "ValidationException", "message": f"Could not find inference component {name}."}
        if operation == "DescribeInferenceComponent":
            return 200, {"InferenceComponentName": name, **self.components[name]}
        if self.components[name]["InferenceComponentStatus"] == "Updating":
            return 400, {"__type": "ValidationException", "message": "It is being updated."}
        self.updates.append(fields)
        return 200, {"InferenceComponentArn": "arn:aws:sagemaker:us-east-1:123456789012:inference-component/" + name}


@pytest.fixture
def plane() -> Iterator[tuple[ControlPlane, Fleet]]:
    """A control plane on loopback and the adapter in front of it."""
    state = ControlPlane()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = state.answer(self.headers["x-amz-target"].partition(".")[2], body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state, SageMakerFleet(connect(f"http://127.0.0.1:{server.server_port}"), "stack")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "copies", "expected"),
    [
        ("InService", 2, ("ready", 2)),
        ("InService", 0, ("warming", 0)),
        ("Creating", 0, ("warming", 0)),
        ("Updating", 1, ("ready", 1)),
        ("Failed", 0, ("off", 0)),
    ],
)
async def test_a_component_is_ready_by_its_copies_in_service(
    plane: tuple[ControlPlane, Fleet], status: str, copies: int, expected: tuple[str, int]
) -> None:
    state, fleet = plane
    state.components[NAME] = {
        "InferenceComponentStatus": status,
        "RuntimeConfig": {"DesiredCopyCount": 3, "CurrentCopyCount": copies},
    }
    assert await fleet.copies(MODEL) == expected


async def test_a_model_without_a_component_is_off_and_waking_it_is_no_error(
    plane: tuple[ControlPlane, Fleet],
) -> None:
    _, fleet = plane
    assert await fleet.copies(MODEL) == ("off", 0)
    await fleet.wake(MODEL)


async def test_waking_asks_for_one_copy(plane: tuple[ControlPlane, Fleet]) -> None:
    state, fleet = plane
    state.components[NAME] = {"InferenceComponentStatus": "InService", "RuntimeConfig": {"CurrentCopyCount": 0}}
    await fleet.wake(MODEL)
    assert state.updates == [{"InferenceComponentName": NAME, "DesiredRuntimeConfig": {"CopyCount": 1}}]


async def test_a_component_that_is_being_updated_is_left_alone(plane: tuple[ControlPlane, Fleet]) -> None:
    state, fleet = plane
    state.components[NAME] = {"InferenceComponentStatus": "Updating", "RuntimeConfig": {"CurrentCopyCount": 0}}
    await fleet.wake(MODEL)
    assert state.updates == []


async def test_a_refusal_that_is_not_known_is_not_swallowed(plane: tuple[ControlPlane, Fleet]) -> None:
    state, fleet = plane
    state.refusal = "AccessDeniedException"
    with pytest.raises(AwsRefusal):
        await fleet.copies(MODEL)
    with pytest.raises(AwsRefusal):
        await fleet.wake(MODEL)


async def test_the_fake_tells_what_was_placed() -> None:
    fleet = FakeFleet()
    assert await fleet.copies(MODEL) == ("off", 0)
    fleet.place(MODEL, copies=0)
    assert await fleet.copies(MODEL) == ("warming", 0)
    fleet.place(MODEL, copies=2)
    assert await fleet.copies(MODEL) == ("ready", 2)
    await fleet.wake(MODEL)
    assert fleet.woken == [MODEL.id]
