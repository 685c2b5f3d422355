"""Entry files and example events."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.entry import load_entries
from infra.local.functions import Function
from tests.support.stack import Stack

ROOT = Path(__file__).parents[2]
Handler = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True, slots=True)
class Functions:
    """Loads handlers into the environment of the moment, the function's own variables over it."""

    stack: Stack

    def handler(self, logical_id: str, folder: str, **environment: str) -> Handler:
        """The handler in `functions/<folder>/handler.py`."""
        os.environ.update(environment)
        function = Function(
            logical_id=logical_id,
            folder=str(ROOT / "functions" / folder),
            timeout_s=30,
            environment=self.stack.functions[logical_id] | environment,
            routes=(),
            queues=(),
            timers=(),
        )
        (module,) = load_entries([function], "handler.py")
        handler: Handler = module.handler
        return handler


def read_event(name: str) -> dict[str, Any]:
    """`events/<name>.json`."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return event
