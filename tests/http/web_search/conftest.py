"""The service with SearXNG's protocol behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.asking import Asker
from tests.support.search_servers import SearchServer, Searxng, search_server
from tests.support.stack import AppServer, OpenedAccount, Stack


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    with search_server(Searxng()) as server:
        yield server


@pytest.fixture(scope="module")
def searching(stack: Stack, server: SearchServer) -> AppServer:
    gateway = stack.make_gateway(SEARCH_BACKEND="searxng", SEARCH_URL=server.base_url)
    return stack.serve(gateway.chat_app())


@pytest.fixture
def web(server: SearchServer) -> SearchServer:
    server.reset()
    return server


@pytest.fixture
def ask(searching: AppServer, account: OpenedAccount, web: SearchServer) -> Asker:
    return Asker(searching.port, account.authorization)
