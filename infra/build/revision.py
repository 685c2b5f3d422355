"""Prints a digest of what was built, for CodeRevision: the same files give the same digest on every machine.

`python -m infra.build.revision .aws-sam/build/*Layer functions/chat`
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path


def revision_of(folders: Sequence[Path]) -> str:
    """SHA-256 over the relative names and contents of all files, times and modes aside."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{folder.name}/{file.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(revision_of([Path(folder) for folder in sys.argv[1:]]) + "\n")
