"""Schemas to test with: 300 out of installed packages always, and JSONSchemaBench where a checkout of it is.

Nothing of JSONSchemaBench (guidance-ai/jsonschemabench) is kept in this tree. `JSONSCHEMABENCH` is the checkout's
folder; `JSONSCHEMABENCH_WHOLE=1` takes all of it instead of the sample, which is 300 files drawn by a seed, each with
its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from tests.support.corpora import corpus_schema, sampled_schemas

SAMPLE = Path(__file__).parents[1] / "golden" / "jsonschemabench-sample.sha256"

_CHECKOUT = os.environ.get("JSONSCHEMABENCH")
_WHOLE = os.environ.get("JSONSCHEMABENCH_WHOLE") == "1"


def sampled() -> dict[str, str]:
    """The SHA-256 of each file of the sample, by its path in the checkout."""
    lines = SAMPLE.read_text("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def bench_names(*, every: int = 1) -> list[str]:
    """The names of schemas to test with, every so manieth."""
    return [*sampled_schemas(), *_bench_files()][::every]


def bench_schema(name: str) -> Any:
    """One schema. Fails where the checkout has another than the sample was drawn from."""
    if not name.startswith("data/"):
        return corpus_schema(name)
    assert _CHECKOUT is not None
    data = Path(_CHECKOUT, name).read_bytes()
    digest = sampled().get(name)
    assert digest in (None, hashlib.sha256(data).hexdigest()), f"{name} is not the file that the sample was drawn from"
    return json.loads(data)


def _bench_files() -> list[str]:
    if _CHECKOUT is None:
        return []
    if _WHOLE:
        return sorted(str(path.relative_to(_CHECKOUT)) for path in Path(_CHECKOUT, "data").rglob("*.json"))
    return sorted(sampled())
