"""The engine's part of a request, alone: the call, its parts, and the text in them.

`python -m benchmarks.engine_call`, in the chat function's environment, prints milliseconds of CPU a call. What a whole
answer costs beyond it is what everything but the engine costs.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from gateway.application.choices import Choice, ChoiceCount, ChoiceReader
from gateway.bootstrap.chat import ChatFunction
from gateway.domain.answer import Ending
from gateway.domain.shaping import PlainShaper

from benchmarks.rows import SHORT, Size, summary
from benchmarks.table import MODEL

OPEN = 16


def measure_engine_call(environment: Mapping[str, str], size: Size) -> dict[str, Any]:
    """CPU of a call, in a process that does nothing else, by rounds."""
    command = [sys.executable, "-m", "benchmarks.engine_call", str(size.requests)]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(size.rounds)
    ]
    return summary({"cpu_ms_16": [float(run.stdout) for run in runs]})


async def _call(count: int) -> float:
    function = ChatFunction.from_environment()
    engine = function.generate.engine
    reader = ChoiceReader(
        engine=engine,
        clock=function.clock,
        model=function.catalogue.models[MODEL],
        until_s=function.clock.elapsed_s() + 600,
        patience_s=10,
    )
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": SHORT, "seed": 0}
    choice = Choice(index=0, body=body, new_shaper=PlainShaper)

    async def some(number: int) -> None:
        for _ in range(number):
            *_, last = [batch async for batch in reader.read(choice, ChoiceCount())]
            assert isinstance(last[-1], Ending)

    await asyncio.gather(*(some(1) for _ in range(OPEN)))  # connections are made here
    before_s = time.process_time()
    await asyncio.gather(*(some(count // OPEN) for _ in range(OPEN)))
    return (time.process_time() - before_s) / (count // OPEN * OPEN) * 1e3


if __name__ == "__main__":
    print(asyncio.run(_call(int(sys.argv[1]))))
