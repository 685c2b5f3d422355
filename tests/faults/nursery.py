"""A process that forks functions: each child is a function of its own, a moment after it is asked for.

Orders come as lines of JSON on stdin, answers go as lines of JSON to stdout:

    {"serve": folder, "port": 1234, ...}     the chat function by its own `run.sh`        -> {"pid": 5}
    {"invoke": function, "event": {}, ...}   one call of a handler, in a child of its own -> {"pid": 5}
    {"wait": 5}                              the end of a child     -> {"status": 0, "answer": what a handler returned}

Every order to start has `environment`, and `ahead_s`: how far the child's clock is ahead. At SIGUSR1 it jumps
forward by `JUMP_S`, at SIGUSR2 back by twice as much.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import uvicorn

from infra.local.entry import load_entries
from infra.local.functions import Function
from infra.local.pumping import new_context

JUMP_S = 3600
_IMPORTED = (
    "gateway.bootstrap.chat",
    "gateway.bootstrap.outbox",
    "gateway.bootstrap.upkeep",
    "gateway.bootstrap.worker",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
)
"""What every child would import for itself."""


def main() -> None:
    """Serves until stdin ends."""
    for name in _IMPORTED:
        import_module(name)
    answers = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            path = answers / str(order["wait"])
            answer = json.loads(path.read_text()) if path.exists() else None
            told = {"status": os.waitstatus_to_exitcode(status), "answer": answer}
        else:
            told = {"pid": _fork(order, answers)}
        print(json.dumps(told), flush=True)


def _fork(order: dict[str, Any], answers: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(order, answers)
        os._exit(0)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except BaseException:  # noqa: BLE001 - what it died of is for its log
        traceback.print_exc()
        os._exit(1)


def _become(order: dict[str, Any], answers: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(order["environment"])
    _set_clock(order["ahead_s"])
    if "serve" in order:
        folder = Path(order["serve"])
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        uvicorn.main(_arguments(folder, order["port"]))
    function = Function.from_json(order["invoke"])
    (module,) = load_entries([function], "handler.py")
    answer = module.handler(order["event"], new_context(function))
    (answers / str(os.getpid())).write_text(json.dumps(answer))


def _set_clock(ahead_s: float) -> None:
    """The wall clock of this process, as a clock that was set wrong shows it."""
    true_time, ahead = time.time, [ahead_s]

    def jump(number: int, _frame: object) -> None:
        ahead[0] += JUMP_S if number == signal.SIGUSR1 else -2 * JUMP_S

    signal.signal(signal.SIGUSR1, jump)
    signal.signal(signal.SIGUSR2, jump)
    time.time = lambda: true_time() + ahead[0]


def _arguments(folder: Path, port: int) -> list[str]:
    """uvicorn's, as the function's own start script gives them."""
    line = (folder / "run.sh").read_text("utf-8").splitlines()[-1]
    words = line.partition(" -m uvicorn ")[2].split()
    return [str(port) if "AWS_LWA_PORT" in word else word for word in words]


if __name__ == "__main__":
    main()
