"""moto's server with the template's data resources in it, and botocore clients that reach it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway.adapters.aws.clients import Clients
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from infra.local.credentials import ACCOUNT_ID, REGION, STACK_NAME, local_environment
from infra.local.resources import Resources
from infra.local.template import load_template

_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_SERVICES = ("dynamodb", "sqs", "sagemaker")


@dataclass(frozen=True)
class Aws:
    """A running moto: `url` is its endpoint, the rest are names of what is in it."""

    url: str
    table: str
    outbox_url: str


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Moto's server would write a line for every request."""


class _OneAtATime:
    """moto checks a condition and writes in two steps; DynamoDB in one. The lock makes it one here too."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            return self._application(environ, start_response)


@contextmanager
def run_aws() -> Iterator[Aws]:
    """A moto of its own on a free port, with the template's resources."""
    application = _OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with environment_of(url):
            template = load_template(_TEMPLATE, region=REGION, account_id=ACCOUNT_ID, stack_name=STACK_NAME)
            # moto copies a table with its stream's history at each transaction: behind some 600 writes 30 settlements
            # took 37 s with the stream and 3.5 s without
            del template.document["Resources"]["Table"]["Properties"]["StreamSpecification"]
            resources = Resources(template, stack_name=STACK_NAME)
            resources.make_all()
            yield Aws(url, resources.reference("Table"), resources.reference("OutboxQueue"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def environment_of(url: str) -> Iterator[None]:
    """AWS's variables as they are in front of this endpoint, and no way to a real account."""
    with pytest.MonkeyPatch.context() as patch:
        wanted = local_environment(os.environ) | {"AWS_ENDPOINT_URL": url}
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        yield


def connect(url: str) -> Clients:
    """Clients of this endpoint; they keep it when the environment changes."""
    clients = Clients()
    with environment_of(url):
        for service in _SERVICES:
            clients.get(service)
    return clients
