"""A child's lifeline: the end of its stdin is its own end."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra.local.settings import ROOT

IDLE = "import time; time.sleep(60)"
# Native code that holds the interpreter's lock for minutes, as the loading of a large model does.
LOCKED = "7 ** (10 ** 9)"
CHILD = """
from infra.local.parent import Parent
parent = Parent()
order = parent.receive()
parent.at_its_end()
parent.die_with_it()
print("for the log")
parent.report("ready", **order)
{work}
"""


def start(code: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize(
    "work",
    [
        IDLE,
        pytest.param(LOCKED, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux signals a pipe's end")),
    ],
    ids=["idle", "locked"],
)
def test_a_child_ends_when_its_supervisor_does(work: str) -> None:
    with start(CHILD.format(work=work)) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b'{"port": 1}\n')
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"event": "ready", "port": 1}
        child.stdin.close()
        child.wait(10)
        assert child.stderr is not None
        assert child.stderr.read() == b"for the log\n"


def test_a_child_that_gets_no_order_ends() -> None:
    with start(CHILD.format(work=IDLE)) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


def test_a_reason_not_to_start_is_reported_and_fails_the_child() -> None:
    code = (
        "from infra.local.failure import CannotStart; from infra.local.parent import Parent\n"
        "def body(parent): raise CannotStart('No.')\n"
        "Parent().run(body)"
    )
    with start(code) as child:
        assert child.communicate(timeout=10)[0] == b'{"event": "failed", "reason": "No."}\n'
    assert child.returncode == 1


def test_a_child_whose_own_stop_fails_ends_all_the_same() -> None:
    code = (
        "import time; from infra.local.parent import Parent\n"
        "parent = Parent(); parent.at_its_end(lambda: 1 / 0); time.sleep(60)"
    )
    with start(code) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 1
