"""The examples of the public page, cut out of its text: the page has no fences, so each is found by its syntax."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "golden" / "chat-completions-page.txt"
PAGE_URL = "https://api.studiolm.dev"
PAGE_KEY = "sk-..."
TABLE_HEAD = "Parameter Type Default Description"


def python_examples() -> list[str]:
    """The Python examples, in the page's order."""
    return _blocks(("import ", "response = ", "for chunk in "), _is_python, longest=True)


def curl_examples() -> list[str]:
    """The curl examples as shell text, in the page's order."""
    return _blocks(("curl ",), _is_command)


def response_example() -> str:
    """The page's whole response, as JSON text."""
    (block,) = _blocks(("{",), lambda text: text.count("{") == text.count("}"))
    return block


def stream_example() -> list[str]:
    """The page's lines of a stream."""
    return [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("data: ")]


def parameters() -> dict[str, str]:
    """The page's parameters and what it gives as their defaults, `required` or nothing included."""
    lines = PAGE.read_text("utf-8").splitlines()
    table = lines[lines.index(TABLE_HEAD) + 1 :]
    rows = [line.split() for line in table[: table.index("")]]
    return {row[0]: row[2] for row in rows}


def _blocks(beginnings: tuple[str, ...], is_whole: Callable[[str], bool], *, longest: bool = False) -> list[str]:
    lines = PAGE.read_text("utf-8").splitlines()
    blocks, position = [], 0
    while position < len(lines):
        if not lines[position].startswith(beginnings):
            position += 1
            continue
        ends = [end for end in range(position + 1, len(lines) + 1) if is_whole("\n".join(lines[position:end]))]
        end = ends[-1] if longest else ends[0]
        blocks.append("\n".join(lines[position:end]).rstrip())
        position = end
    return blocks


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _is_command(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return not text.endswith("\\")
