"""One world for all faults of a process, and what was counted in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.run import Outcome
from tests.faults.world import World, build_world

COUNTED = pytest.StashKey[dict[str, dict[str, object]]]()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with build_world(tmp_path_factory.mktemp("faults")) as world:
        yield world


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Callable[[str, Outcome], None]:
    """Holds an outcome to having nothing wrong, and counts it for the report where one is asked for."""

    def show(name: str, outcome: Outcome) -> None:
        assert outcome.wrongs == []
        request.config.stash.setdefault(COUNTED, {})[name] = outcome.as_json()

    return show


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`FAULTS_REPORT` names a file for what was counted; the parts of a run add to it."""
    path, counted = os.environ.get("FAULTS_REPORT"), session.config.stash.get(COUNTED, {})
    if path and counted:
        with Path(path).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = json.loads(file.read() or "{}")
            file.truncate(0)
            file.write(json.dumps({**before, **counted}, indent=1, sort_keys=True) + "\n")
