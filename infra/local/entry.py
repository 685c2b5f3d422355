"""Entry files of functions, loaded by their path as Lambda does: a folder is no package."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from infra.local.failure import CannotStart
from infra.local.functions import Function


def load_entries(functions: Sequence[Function], *file_names: str) -> list[ModuleType]:
    """The first of these files in each function's folder, imported under the function's own variables.

    One process has one environment: where functions differ, the first one's values stand in the end.
    Raises CannotStart.
    """
    modules = []
    for function in reversed(functions):
        os.environ.update(function.environment)
        modules.append(_load(Path(function.folder), file_names))
    return modules[::-1]


def _load(folder: Path, file_names: Sequence[str]) -> ModuleType:
    path = next((folder / name for name in file_names if (folder / name).is_file()), None)
    if path is None:
        raise CannotStart(f"{folder} has no {' or '.join(file_names)}, and template.yaml names it.")
    spec = importlib.util.spec_from_file_location(f"function_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
