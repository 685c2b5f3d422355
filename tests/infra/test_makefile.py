"""The verbs work wherever the checkout lies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_checkout_below_a_folder_with_a_blank_in_its_name_is_no_trouble(tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    done = subprocess.run(["make", "help"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "make run" in done.stdout
