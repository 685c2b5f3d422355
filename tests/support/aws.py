"""moto's server with the template's data resources in it, and clients that reach it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway.adapters.aws.clients import Clients

from infra.local.credentials import ACCOUNT_ID, REGION, STACK_NAME, local_environment
from infra.local.functions import Function, read_functions
from infra.local.moto_server import run_moto
from infra.local.resources import Resources
from infra.local.template import load_template
from tests.support.dynamodb_local import DynamoDbLocalFront, run_dynamodb_local

_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_SERVICES = ("dynamodb", "sqs", "sagemaker")


@dataclass(frozen=True)
class Aws:
    """A running moto: `url` is its endpoint, the rest are names of what is in it, and who works on that.

    `dynamodb_url` is DynamoDB's own: DynamoDB Local's where it stands behind `url`.
    """

    url: str
    dynamodb_url: str
    table: str
    outbox_url: str
    functions: Mapping[str, Function]


@contextmanager
def run_aws() -> Iterator[Aws]:
    """A moto of its own on a free port, with the template's resources."""
    with _run_services() as (url, dynamodb_url), environment_of(url):
        template = load_template(_TEMPLATE, region=REGION, account_id=ACCOUNT_ID, stack_name=STACK_NAME)
        resources = Resources(template, stack_name=STACK_NAME)
        resources.make_all()
        functions = {
            function.logical_id: function for function in read_functions(template, resources, root=_TEMPLATE.parent)
        }
        yield Aws(url, dynamodb_url, resources.reference("Table"), resources.reference("OutboxQueue"), functions)


@contextmanager
def _run_services() -> Iterator[tuple[str, str]]:
    jars = os.environ.get("DYNAMODB_LOCAL")
    if not jars:
        with run_moto() as url:
            yield url, url
        return
    with run_dynamodb_local(Path(jars)) as port, run_moto(lambda inner: DynamoDbLocalFront(inner, port)) as url:
        yield url, f"http://127.0.0.1:{port}"


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
        clients.wire("dynamodb")
        for service in _SERVICES:
            clients.get(service)
    return clients
