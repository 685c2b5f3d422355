"""Starts the children side by side, tells each what it needs of the others, and stops them in order.

The standard library only: nothing heavy may delay the children or outlive them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from threading import Thread
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from gateway.cli.local_stack import record_path, write_record

from infra.local.child import Child, Reports
from infra.local.credentials import local_environment
from infra.local.failure import CannotStart
from infra.local.greeting import greeting
from infra.local.settings import Settings

_PROGRESS_S = 3.0
_LOOK_FOR_PARENT_S = 0.5
# Requests under way get a second from uvicorn; all of it must be over in two.
_SERVING_END_S = 1.4
_BACKING_END_S = 0.4


class _StopAsked(Exception):
    """Ctrl-C or TERM."""


def run(settings: Settings, outer: Mapping[str, str]) -> None:
    """Run the stack until a signal ends it. Raises CannotStart; either way no process and no file is left."""
    reports: Reports = Reports()

    def ask_stop(_signal: int, _frame: FrameType | None) -> None:
        reports.put((None, None))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_stop)
    Thread(target=_stop_without, args=(os.getppid(), reports), name="parent", daemon=True).start()
    state = Path(tempfile.mkdtemp(prefix="studiolm-local-"))
    stack = _Stack(settings, state=state, environment=local_environment(outer), reports=reports)
    try:
        stack.start()
        stack.watch()
    except _StopAsked:
        pass
    finally:
        stack.stop()
        shutil.rmtree(state, ignore_errors=True)


def _stop_without(parent: int, reports: Reports) -> None:
    """Ask for a stop when the process that started the command is gone: `make`, killed, tells nobody."""
    while os.getppid() == parent:
        time.sleep(_LOOK_FOR_PARENT_S)
    reports.put((None, None))


class _Stack:
    def __init__(self, settings: Settings, *, state: Path, environment: Mapping[str, str], reports: Reports) -> None:
        self._settings = settings
        self._state = state
        self._environment = environment
        self._reports = reports
        self._serving: list[Child] = []
        self._backing: list[Child] = []
        self._began = time.monotonic()
        self._loading: str | None = None
        self._record: Path | None = None

    def start(self) -> None:
        aws, engine = self._spawn("aws", self._backing), self._spawn("engine", self._backing)
        gateway, events = self._spawn("gateway", self._serving), self._spawn("events", self._serving)
        gateway.order(port=self._settings.port)
        aws.order(root=str(self._settings.root), state=str(self._state), api_key=self._settings.api_key)
        engine.order(model_paths=self._settings.model_paths)
        made = self._wait_for({aws: "ready", engine: "ready", gateway: "bound"})
        endpoints = made[aws]["endpoints"] | made[engine]["endpoints"]
        functions = [
            fields | {"environment": fields["environment"] | self._settings.search} for fields in made[aws]["functions"]
        ]
        for child in (gateway, events):
            child.order(functions=functions, endpoints=endpoints)
        self._wait_for({gateway: "ready", events: "ready"})
        self._keep_record(made[gateway]["base_url"], made[aws]["functions"][0]["environment"], endpoints)
        lines = greeting(
            models=made[engine]["models"],
            base_url=made[gateway]["base_url"],
            api_key=made[aws]["api_key"],
            aws_endpoint_url=endpoints["AWS_ENDPOINT_URL"],
        )
        print(*lines, sep="\n", flush=True)

    def watch(self) -> None:
        """Until a child ends, which is an error, or a signal comes."""
        while True:
            self._next_report()

    def stop(self) -> None:
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        # The API ends first: its last settlements need the table.
        for children, within_s in ((self._serving, _SERVING_END_S), (self._backing, _BACKING_END_S)):
            for child in children:
                child.ask_to_end()
            deadline = time.monotonic() + within_s
            for child in children:
                child.end(max(0.0, deadline - time.monotonic()))

    def _keep_record(self, base_url: str, variables: Mapping[str, str], endpoints: Mapping[str, str]) -> None:
        """What `studiolm-admin --local` finds the stack by; a machine without a writable home has to do without."""
        reached_by = {name: value for name, value in self._environment.items() if name.startswith("AWS_")}
        reached_by |= endpoints
        reached_by |= {name: variables[name] for name in ("TABLE_NAME", "OUTBOX_QUEUE_URL", "STACK_NAME")}
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: this user has no home at all
            path = record_path(urlsplit(base_url).port or 0, self._environment)
            write_record(path, reached_by)
            self._record = path

    def _spawn(self, name: str, group: list[Child]) -> Child:
        child = Child(name, state=self._state, environment=self._environment, reports=self._reports)
        group.append(child)
        return child

    def _wait_for(self, expected: dict[Child, str]) -> dict[Child, dict[str, Any]]:
        """Each child's report whose `event` is the expected one."""
        got: dict[Child, dict[str, Any]] = {}
        while expected.keys() - got.keys():
            try:
                child, report = self._next_report(_PROGRESS_S)
            except Empty:
                names = ", ".join(child.name for child in expected if child not in got)
                self._say(f"waiting for: {names}")
                continue
            if report["event"] == "loading":
                self._loading = report["path"]
                self._say(f"loading {report['model']} from {report['path']}")
            elif report["event"] == expected.get(child):
                got[child] = report
                if child.name == "engine":
                    self._loading = None
                if report["event"] == "ready":
                    self._say(f"{child.name} is ready")
        return got

    def _say(self, progress: str) -> None:
        print(f"[{time.monotonic() - self._began:5.1f} s] {progress}", flush=True)

    def _next_report(self, within_s: float | None = None) -> tuple[Child, dict[str, Any]]:
        child, report = self._reports.get(timeout=within_s)
        if child is None:
            raise _StopAsked
        if report is None:
            raise CannotStart(self._epitaph(child))
        if report["event"] == "failed":
            raise CannotStart(report["reason"])
        return child, report

    def _epitaph(self, child: Child) -> str:
        if child.name == "engine" and self._loading is not None:
            return f"The model file {self._loading} cannot be loaded: {child.last_words()}."
        return f"The {child.name} process ended by itself: {child.last_words()}."
