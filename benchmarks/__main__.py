"""`python -m benchmarks [--smoke]`: us, the peers and the upstream in turns; a table, JSON and plots."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import page, report
from benchmarks.client import Target
from benchmarks.cold import measure_first_byte, measure_imports, measure_local_run
from benchmarks.costs import measure_costs
from benchmarks.engine import measure_engine
from benchmarks.engine_call import measure_engine_call
from benchmarks.machine import describe, rss_mb
from benchmarks.processes import ROOT, Running, plain_environment, run
from benchmarks.rivals import rivals
from benchmarks.rows import (
    FULL,
    SMOKE,
    Size,
    count_calls,
    measure_buffered,
    measure_many_streams,
    measure_soak,
    measure_stand_in,
    measure_streams,
)
from benchmarks.table import Table, as_variable, run_table, stack_environment
from benchmarks.targets import ENDPOINT, direct, run_gateway

STAND_IN = "gateway, local stand-in"


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="everything once and small, for CI; nothing is written")
    smoke = parser.parse_args().smoke
    size = SMOKE if smoke else FULL
    began_s = time.monotonic()
    results: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "machine": describe()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        table = stack.enter_context(run_table())
        results["table"] = table.kind
        account = as_variable(table.account_item())
        upstream = stack.enter_context(
            run([sys.executable, "-m", "benchmarks.upstream"], environment=plain_environment(BENCH_ACCOUNT=account))
        )
        _measure(stack, results, table=table, upstream=upstream, folder=folder, size=size, smoke=smoke)
    results["loadavg_after"] = os.getloadavg()
    results["took_s"] = round(time.monotonic() - began_s)
    results |= {"added": report.added(results), "table_stand_in": report.stand_in(results)}
    print(report.table(results))
    before, after = results["machine"]["loadavg"][0], results["loadavg_after"][0]
    print(f"\ntook {results['took_s']} s; load {before:.1f} before, {after:.1f} after")
    if not smoke:
        page.RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        page.write(results)
        report.draw(results, ROOT / "docs" / "images")


def _measure(
    stack: ExitStack, results: dict[str, Any], *, table: Table, upstream: Running, folder: Path, size: Size, smoke: bool
) -> None:
    results["ready_s"], results["rest_mb"] = {}, {}

    def begin(started: tuple[Target, Running]) -> Target:
        target, process = started
        results["ready_s"][target.name] = process.ready_s
        results["rest_mb"][target.name] = rss_mb(target.pid)
        return target

    targets = [direct(upstream)]
    ours = begin(
        stack.enter_context(run_gateway(report.OURS, table, table_url=table.process.url, engine_url=upstream.url))
    )
    no_aws = begin(
        stack.enter_context(run_gateway(report.NO_AWS, table, table_url=upstream.url, engine_url=upstream.url))
    )
    stand_in = stack.enter_context(
        run([sys.executable, "-m", "benchmarks.standin", upstream.url, ENDPOINT], environment=plain_environment())
    )
    local = begin(
        stack.enter_context(run_gateway(STAND_IN, table, table_url=table.process.url, engine_url=stand_in.url))
    )
    targets += [ours, no_aws, local]
    many_streams = [no_aws]
    results["not_measured"] = {}
    for rival in rivals():
        missing = "a smoke run is without peers" if smoke else rival.missing
        if missing is not None:
            results["not_measured"][rival.name] = missing
            continue
        targets.append(begin(stack.enter_context(rival.start(upstream, folder))))
        if rival.many_streams:
            many_streams.append(targets[-1])
    results["calls"] = count_calls(no_aws, upstream)
    results["costs"] = measure_costs(ours, table)
    results["buffered"] = measure_buffered(targets, size)
    results["table_stand_in"] = measure_stand_in(ours, table.process.pid, size)
    environment = plain_environment(**stack_environment(table, table_url=upstream.url, engine_url=upstream.url))
    results["engine_call"] = measure_engine_call(environment, size)
    results["streams"] = measure_streams(targets, size)
    results["many_streams"] = {target.name: measure_many_streams(target, size) for target in many_streams}
    results["soak"] = measure_soak(no_aws, size)
    results["cold"] = {
        "first_byte_s": measure_first_byte(environment, size.cold_starts),
        "import_cpu_s": measure_imports(environment, size.cold_starts, instructions=not smoke),
    }
    if not smoke:
        results["engine"] = measure_engine(table)
        results["cold"]["local_run_ready_s"] = measure_local_run(size.rounds)


if __name__ == "__main__":
    main()
