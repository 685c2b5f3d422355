"""The record that a running local stack keeps of itself, so that `--local` finds it.

One file a port in the user's cache directory: the environment variables that reach the stack. The standard library
only, for the stack's supervisor writes it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

_PROBE_S = 2.0


def record_path(port: int, outer: Mapping[str, str]) -> Path:
    """Where the stack on `port` keeps its record; `outer` is the user's environment."""
    cache = outer.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "studiolm" / f"local-{port}.json"


def write_record(path: Path, environment: Mapping[str, str]) -> None:
    """Keeps the variables that reach a stack, for this user only; records of killed stacks go. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in path.parent.glob("local-*.json"):
        if read_record(other) is None:
            other.unlink(missing_ok=True)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(dict(environment), indent=2), "utf-8")
    draft.replace(path)


def read_record(path: Path) -> dict[str, str] | None:
    """The variables that reach the stack, or None where no stack answers any more."""
    try:
        environment: dict[str, str] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return environment if _answers(environment["AWS_ENDPOINT_URL"]) else None


def _answers(url: str) -> bool:
    # a stack that was killed leaves its record; botocore would knock at its port for many seconds
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True
