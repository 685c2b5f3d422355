"""What the lock files say: names, versions, and who wanted them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^ ;\\]+)")
_WANTED_BY = re.compile(r" +#(?: via)? +([A-Za-z0-9._-]+(?: \(pyproject\.toml\))?)$")


@dataclass(frozen=True, slots=True)
class Locked:
    """A package at its version. `wanted_by` are packages of the same lock, or the project itself."""

    name: str
    version: str
    wanted_by: frozenset[str]


def python_locks(root: Path) -> list[Path]:
    """Every lock file for pip, tracked or not, but none inside an environment or a build."""
    return _below(root, "requirements*.lock")


def node_locks(root: Path) -> list[Path]:
    """Every lock file of npm."""
    return _below(root, "package-lock.json")


def read_python_lock(path: Path) -> list[Locked]:
    """The packages of one lock file, in its order."""
    found: list[tuple[str, str, set[str]]] = []
    for line in path.read_text("utf-8").splitlines():
        if pinned := _PINNED.match(line):
            found.append((pinned[1], pinned[2], set()))
        elif (wanted_by := _WANTED_BY.fullmatch(line)) and wanted_by[1] != "via":
            found[-1][2].add(wanted_by[1].removesuffix(" (pyproject.toml)"))
    return [Locked(name, version, frozenset(wanted_by)) for name, version, wanted_by in found]


def read_node_licences(path: Path) -> dict[str, str]:
    """The licence of each package of an npm lock, as its authors gave it; empty where they gave none."""
    packages = json.loads(path.read_text("utf-8"))["packages"]
    return {
        f"{place.rpartition('node_modules/')[2]} {fields['version']}": str(fields.get("license", ""))
        for place, fields in packages.items()
        if place
    }


def _below(root: Path, pattern: str) -> list[Path]:
    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.name.startswith(".") and path.name not in ("build", "node_modules"):
                yield from walk(path)
            elif path.is_file() and path.match(pattern):
                yield path

    # our own build scripts hold no lock, so the folder of that name may be left out wherever it is
    return list(walk(root))
