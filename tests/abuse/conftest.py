"""The running API as one process, before a scripted engine, and an account that no limit stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.engine_pieces import whole
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import OpenedAccount, Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    for switch in (stack.engine, stack.second_engine):
        switch.engine = ScriptedEngine([Script(pieces=whole("Hello", " world"))])
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(stack, tmp_path_factory.mktemp("gateway"))
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def account(stack: Stack) -> OpenedAccount:
    return stack.open_account(plan="pro", requests_per_minute=1_000_000, max_open_requests=1_000)
