"""`python -m tests.load [--smoke] [scene ...]`: the scenes one after the other, JSON, and the page's figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.pages import with_figures
from tests.faults.world import build_world
from tests.load.report import fault_figures, load_figures
from tests.load.scenes import FULL, SCENES, SMOKE, Ground
from tests.load.verdict import wrongs_of

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results.json"
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = ROOT / "build" / "faults.json"


def main() -> None:
    """Runs, prints, writes; ends with 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="everything once and short, for CI; nothing is written")
    parser.add_argument("scenes", nargs="*", help="only these")
    asked = parser.parse_args()
    results: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processors": os.cpu_count(),
        "table": "DynamoDB Local" if os.environ.get("DYNAMODB_LOCAL") else "moto",
        "load_before": round(os.getloadavg()[0], 1),
        "scenes": {},
    }
    wrongs: list[str] = []
    with tempfile.TemporaryDirectory() as folder, build_world(Path(folder)) as world:
        ground = Ground(world)
        for scene in SCENES:
            name = scene.__name__
            if asked.scenes and name not in asked.scenes:
                continue
            began_s = time.monotonic()
            numbers = scene(ground, SMOKE if asked.smoke else FULL)
            results["scenes"][name] = numbers
            found = wrongs_of(name, numbers, whole=not asked.smoke)
            wrongs += [f"{name}: {wrong}" for wrong in found]
            numbers["wrong"] = found
            print(f"{name} ({time.monotonic() - began_s:.0f} s): {json.dumps(numbers)}", flush=True)
    results["load_after"] = round(os.getloadavg()[0], 1)
    for wrong in wrongs:
        print(f"WRONG {wrong}", file=sys.stderr)
    if not asked.smoke:
        _write(results, whole=not asked.scenes)
    sys.exit(bool(wrongs))


def _write(results: dict[str, Any], *, whole: bool) -> None:
    before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if not whole:
        results = {**results, "scenes": {**before.get("scenes", {}), **results["scenes"]}}
    results["faults"] = json.loads(FAULTS.read_text("utf-8")) if FAULTS.exists() else before.get("faults", {})
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    page = with_figures(PAGE.read_text("utf-8"), "load", load_figures(results))
    PAGE.write_text(with_figures(page, "faults", fault_figures(results["faults"])), "utf-8")


if __name__ == "__main__":
    main()
