"""JSONSchemaBench (guidance-ai/jsonschemabench), where a checkout of it is; nothing of it is kept in this tree.

`JSONSCHEMABENCH` is the checkout's folder. `JSONSCHEMABENCH_WHOLE=1` takes all of it instead of the sample, which
is 300 files drawn by a seed, each with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).parents[1] / "golden" / "jsonschemabench-sample.sha256"

_CHECKOUT = os.environ.get("JSONSCHEMABENCH")
_WHOLE = os.environ.get("JSONSCHEMABENCH_WHOLE") == "1"
_NO_CHECKOUT = pytest.param("", marks=pytest.mark.skip(reason="JSONSCHEMABENCH is not set (make test-schemas)"))


def sampled() -> dict[str, str]:
    """The SHA-256 of each file of the sample, by its path in the checkout."""
    lines = SAMPLE.read_text("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def bench_names(*, every: int = 1) -> list[Any]:
    """The paths to test with, every so manieth; one skipped parameter where there is no checkout."""
    if _CHECKOUT is None:
        return [_NO_CHECKOUT]
    if _WHOLE:
        return sorted(str(path.relative_to(_CHECKOUT)) for path in Path(_CHECKOUT, "data").rglob("*.json"))[::every]
    return sorted(sampled())[::every]


def bench_schema(name: str) -> Any:
    """One schema. Fails where the checkout has another than the sample was drawn from."""
    assert _CHECKOUT is not None
    data = Path(_CHECKOUT, name).read_bytes()
    digest = sampled().get(name)
    assert digest in (None, hashlib.sha256(data).hexdigest()), f"{name} is not the file that the sample was drawn from"
    return json.loads(data)
