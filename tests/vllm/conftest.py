"""The whole service before a running vLLM: `VLLM_URL` says where it answers, `make test-vllm` says how to start one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from gateway.config import Settings

from infra.local.llama import LlamaEngine
from tests.http.asking import Asker
from tests.support.catalogue_gateway import CatalogueGateway
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack, borrowed_environment


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def port(stack: Stack) -> int:
    """A chat application to which the second model is one on vLLM."""
    stack.second_engine.engine = LlamaEngine(os.environ["VLLM_URL"])
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=2))
    gateway = CatalogueGateway(Settings.from_environment(stack.environment), SECOND_MODEL, dialect="vllm", vision=False)
    with borrowed_environment(stack.environment):
        gateway.warm_up()
    return stack.serve(gateway.chat_app()).port


@pytest.fixture
def account(stack: Stack) -> OpenedAccount:
    return stack.open_account()


@pytest.fixture
def ask(port: int, account: OpenedAccount) -> Asker:
    """Asks for the model on vLLM."""
    return Asker(port, account.authorization)
