"""The functions as they were built, against moto and the SageMaker stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployed.environment import ADAPTER, LAYERS, chat_environment
from tests.deployed.runtime_api import RuntimeApi
from tests.support.hand_engine import HandEngine
from tests.support.stack import OpenedAccount, Stack


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """`make test-deployed` builds what is tested here before it starts."""
    assert LAYERS.is_dir(), "the layers are not built: run `make test-deployed`"
    assert ADAPTER.is_file(), "the adapter is not built: run `make test-deployed`"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def runtime(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeApi]:
    """One environment of the chat function, frozen between the invocations of all tests."""
    with chat_environment(stack.environment, state=tmp_path_factory.mktemp("chat")) as api:
        yield api


@pytest.fixture
def account(stack: Stack) -> OpenedAccount:
    return stack.open_account()


@pytest.fixture
def engine(stack: Stack) -> HandEngine:
    """An engine that sends what the test gives it, when the test gives it."""
    engine = HandEngine()
    stack.engine.engine = engine
    return engine
