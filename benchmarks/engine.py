"""The engine path: llama.cpp's own server asked directly, and the same server through the gateway and the stand-in."""

from __future__ import annotations

import json
import statistics
import sys
import time
from http.client import HTTPConnection
from typing import Any

from benchmarks.client import Target
from benchmarks.machine import cpu_s
from benchmarks.processes import plain_environment, run
from benchmarks.table import Table
from benchmarks.targets import ENDPOINT, direct, run_gateway

_TOKENS = 24
_ROUNDS = 7


def measure_engine(table: Table) -> dict[str, Any]:
    """Milliseconds of whole answers of the real model, by turns, and the CPU of who answered."""
    engine = [sys.executable, "-m", "benchmarks.llama"]
    with run(engine, environment=plain_environment()) as llama:
        stand_in = [sys.executable, "-m", "benchmarks.standin", llama.url, ENDPOINT]
        with (
            run(stand_in, environment=plain_environment()) as sagemaker,
            run_gateway("gateway", table, table_url=table.process.url, engine_url=sagemaker.url) as (ours, _),
        ):
            targets = {"llama.cpp": direct(llama), "gateway": ours}
            for target in targets.values():
                _ask(target)
            found: dict[str, dict[str, list[float]]] = {name: {"whole_ms": [], "cpu_ms": []} for name in targets}
            for _ in range(_ROUNDS):
                for name, target in targets.items():
                    began_s, before_s = time.perf_counter(), cpu_s(target.pid)
                    _ask(target)
                    found[name]["whole_ms"].append((time.perf_counter() - began_s) * 1e3)
                    found[name]["cpu_ms"].append((cpu_s(target.pid) - before_s) * 1e3)
    return {
        name: {column: {"median": statistics.median(of), "of": of} for column, of in columns.items()}
        for name, columns in found.items()
    }


def _ask(target: Target) -> None:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": "Count from one to twenty in words."}],
        "max_tokens": _TOKENS,
        "temperature": 0,
    }
    connection = HTTPConnection("127.0.0.1", target.port, timeout=60)
    try:
        headers = {"Content-Type": "application/json", **target.headers}
        connection.request("POST", target.path, body=json.dumps(body), headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200 or not json.loads(text)["choices"][0]["message"]["content"]:
        raise RuntimeError(f"{target.name}: {answer.status} {text[:200]!r}")
