"""Entry files hold no business: DESIGN "Layout"."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.functions.loading import ROOT

ENTRIES = sorted((ROOT / "functions").glob("*/*.py"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.parent.name)
def test_an_entry_file_is_short_and_sees_its_own_part_of_the_composition_root_only(entry: Path) -> None:
    source = entry.read_text("utf-8")
    assert len(source.splitlines()) <= 40
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom | ast.Import)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert names <= {f"gateway.bootstrap.{entry.parent.name}", "mangum"}


def test_a_function_s_folder_holds_its_entry_and_nothing_else() -> None:
    for folder in (ROOT / "functions").iterdir():
        files = {file.name for file in folder.iterdir() if file.name != "__pycache__"}
        assert files in ({"handler.py"}, {"app.py", "run.sh"})
