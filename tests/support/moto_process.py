"""A moto in a process of its own, emptied as often as a test likes: the one in this process is shared by others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

from infra.local.settings import ROOT

_SERVE = """
import sys
from infra.local.moto_server import run_moto
with run_moto() as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def moto_process() -> Iterator[str]:
    """The URL of a new moto, which ends with the block, or with this process."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def empty(url: str) -> None:
    """Removes everything that is in it."""
    with urlopen(Request(f"{url}/moto-api/reset", method="POST")):
        pass
