"""Alternatives: keeping the branches of a oneOf apart, and whether recursion comes to an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from gateway.domain.json_flat import Flat, Schema, canonical, overlap
from gateway.domain.json_lowering import Unenforceable

Flatten = Callable[[Schema, str], Flat]


def keep_apart(branches: Mapping[str, Flat], flatten: Flatten) -> set[str]:
    """Leave out of each branch what would make a value of it valid for another too; answers which were changed.

    Raises Unenforceable for branches that can't be told apart by what a grammar holds.
    """
    changed: set[str] = set()
    # What the others allow is told by the client's schema, not by what we leave out of them.
    demanded = {pointer: Flat(branch.keywords, branch.unions) for pointer, branch in branches.items()}
    for (pointer, mine), (other, theirs) in product(branches.items(), demanded.items()):
        if pointer == other:
            continue
        if _apart(mine, theirs, flatten, pointer):
            continue
        claimed = [
            name
            for name in theirs.keywords.get("required", ())
            if name in mine.keywords.get("properties", {}) and name not in mine.keywords.get("required", ())
        ]
        if not claimed or not _closes(mine):
            raise Unenforceable("oneOf", f"a value of {pointer} may be one of {other} too; anyOf allows that")
        mine.keywords = {**mine.keywords, "properties": {**mine.keywords["properties"], claimed[0]: False}}
        changed.add(pointer)
    return changed


def _apart(mine: Flat, theirs: Flat, flatten: Flatten, at: str) -> bool:
    """Whether nothing that is generated for `mine` can satisfy `theirs`."""
    if "enum" in mine.keywords and "enum" in theirs.keywords:
        values = {canonical(value) for value in theirs.keywords["enum"]}
        return all(canonical(value) not in values for value in mine.keywords["enum"])
    shared = overlap(mine.types, theirs.types)
    return not shared or (shared == ["object"] and _objects_apart(mine, theirs, flatten, at))


def _objects_apart(mine: Flat, theirs: Flat, flatten: Flatten, at: str) -> bool:
    own, required = mine.keywords.get("properties", {}), mine.keywords.get("required", ())
    known = theirs.keywords.get("properties", {})
    written = {name for name in (*own, *required) if own.get(name) is not False}
    if _closes(mine) and not written.issuperset(theirs.keywords.get("required", ())):
        return True
    shuts = theirs.keywords.get("additionalProperties") is False and not theirs.keywords.get("patternProperties")
    if shuts and not set(known).issuperset(required):
        return True
    for name in required:
        if name in known and name in own:
            a, b = flatten(own[name], at), flatten(known[name], at)
            if a.never or b.never or _apart(a, b, flatten, at):
                return True
    return False


def _closes(flat: Flat) -> bool:
    """Whether its objects are generated with the named properties only."""
    return bool(flat.keywords.get("properties") or flat.keywords.get("required")) and not flat.unions


def ends(core: Mapping[str, Any], ending: set[str]) -> bool:
    """Whether some value of the core is finite, given the definitions of which some value is."""
    if "$ref" in core:
        return core["$ref"].removeprefix("#/$defs/") in ending
    if "anyOf" in core:
        return any(ends(branch, ending) for branch in core["anyOf"])
    if core.get("type") == "object":
        needed = [core["properties"][name] for name in core.get("required", ())]
        if core.get("minProperties"):
            choices = [*core.get("properties", core.get("patternProperties", {})).values()]
            choices += [core["additionalProperties"]] if core.get("additionalProperties") else []
            return not choices or any(ends(choice, ending) for choice in choices)
        return all(ends(part, ending) for part in needed)
    if core.get("type") == "array" and core.get("minItems"):
        parts = [*core.get("prefixItems", ())][: core["minItems"]]
        parts += [core.get("items", {})] if core["minItems"] > len(parts) else []
        return all(ends(part, ending) for part in parts)
    return True


def first_references(core: Mapping[str, Any]) -> Iterator[str]:
    """The definitions that a value of the core may begin with, before anything of it is written."""
    if "$ref" in core:
        yield core["$ref"].removeprefix("#/$defs/")
    for branch in core.get("anyOf", ()):
        yield from first_references(branch)
