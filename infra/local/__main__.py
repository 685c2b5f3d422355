"""`python -m infra.local`: everything in one command, until Ctrl-C."""

from __future__ import annotations

import os
import sys

from infra.local.failure import CannotStart
from infra.local.settings import read_settings
from infra.local.supervisor import run


def main() -> int:
    """0 after a stop that was asked for, 1 where the stack could not start or go on."""
    try:
        run(read_settings(os.environ), os.environ)
    except CannotStart as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
