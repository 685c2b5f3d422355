"""Prints the sizes of what `sam build` made, and refuses what Lambda would refuse.

`python -m infra.build.sizes .aws-sam/build/*Layer functions/*`
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LAMBDA_LIMIT_MB = 250.0  # a function with all its layers, unzipped
FUNCTION_LIMIT_MB = 50.0  # ours: a function without its layers, so that a change of it ships in seconds


def size_mb(folder: Path) -> float:
    """What the files under `folder` take, in MB."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1_000_000


def complaints(sizes_mb: Mapping[str, float]) -> list[str]:
    """A sentence for each limit that is passed; names that end in `Layer` are layers and all functions have them."""
    layers_mb = sum(size for name, size in sizes_mb.items() if name.endswith("Layer"))
    found = []
    for name, size in sizes_mb.items():
        if name.endswith("Layer"):
            continue
        if size > FUNCTION_LIMIT_MB:
            found.append(f"{name}: {size:.0f} MB without its layers, {FUNCTION_LIMIT_MB:.0f} MB is our limit.")
        if size + layers_mb > LAMBDA_LIMIT_MB:
            found.append(f"{name}: {size + layers_mb:.0f} MB with its layers, Lambda takes {LAMBDA_LIMIT_MB:.0f} MB.")
    return found


def main(folders: Sequence[str]) -> int:
    """Prints a line for each folder; 1 when a limit is passed."""
    sizes_mb = {Path(folder).name: size_mb(Path(folder)) for folder in folders}
    found = complaints(sizes_mb)
    lines = [f"{name:20} {size:7.2f} MB" for name, size in sizes_mb.items()] + found
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
