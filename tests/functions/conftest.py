"""Functions loaded from their folders as Lambda loads them, over the local AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.context import Context
from tests.functions.loading import Functions
from tests.support.stack import OpenedAccount, Stack, borrowed_environment


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture
def functions(stack: Stack) -> Iterator[Functions]:
    with borrowed_environment(stack.environment):
        functions = Functions(stack)
        yield functions
        functions.end()


@pytest.fixture
def account(stack: Stack) -> OpenedAccount:
    return stack.open_account()


@pytest.fixture
def context() -> Context:
    return Context(function_name="function", aws_request_id="3f1f3a8e", timeout_s=30)
