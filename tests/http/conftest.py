"""The running service, and accounts in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.llama import LlamaEngine
from tests.http.asking import Asker
from tests.support.backstage import Backstage
from tests.support.engine_pieces import whole
from tests.support.real_engine import serve_model
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import OpenedAccount, Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture
def engine(stack: Stack) -> ScriptedEngine:
    """An engine that answers "Hello world" until the test gives it other scripts."""
    engine = ScriptedEngine([Script(pieces=whole("Hello", " world"))])
    stack.engine.engine = engine
    return engine


@pytest.fixture(scope="session")
def opened_backstage(stack: Stack) -> Backstage:
    return Backstage(stack)


@pytest.fixture
def backstage(opened_backstage: Backstage) -> Backstage:
    """The worker and the intake, with nothing queued yet: the stack is shared, its queues too."""
    opened_backstage.forget()
    return opened_backstage


@pytest.fixture
def account(stack: Stack) -> OpenedAccount:
    return stack.open_account()


@pytest.fixture
def ask(stack: Stack, account: OpenedAccount) -> Asker:
    """Asks the chat application as `account`."""
    return Asker(stack.chat.port, account.authorization)


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """The real model's address."""
    with serve_model() as url:
        yield url


@pytest.fixture
def real(stack: Stack, ask: Asker, model: str) -> Asker:
    """Asks the real model, which is of 135M parameters."""
    stack.engine.engine = LlamaEngine(model)
    return ask
