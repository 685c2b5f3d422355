"""Which schemas can be enforced, and the plain schema that stands for each of them.

`normalise` writes a client's schema in the few forms that every engine holds a model to: whatever validates against
the result validates against the original. It may be narrower: objects get no properties that the schema does not
name, a typeless schema with `properties` is an object. What can't be written so is refused, never half enforced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn
from urllib.parse import unquote

from gateway.domain.errors import InvalidRequest
from gateway.domain.json_dialect import misspelling, modern
from gateway.domain.json_distinct import distinct_places
from gateway.domain.json_flat import OF_TYPE, TYPES, Conflict, Flat, Schema, Union, both, meet, overlap, type_of
from gateway.domain.json_formats import is_enforced
from gateway.domain.json_lowering import (
    COMPARED,
    Never,
    Unenforceable,
    allows,
    lower_array,
    lower_number,
    lower_object,
    lower_string,
)
from gateway.domain.json_union import ends, first_references, keep_apart
from gateway.domain.wire import describe, wrong_field

Core = dict[str, Any]

LARGEST_BYTES = 256 * 1024
DEEPEST = 40
MOST_NODES = 4_000
MOST_TURNS = 8
"""How often a branch may stand within itself at one place: more than this is for ever."""

REFUSED = {
    "if": "conditions",
    "$dynamicRef": "dynamic references",
    "$recursiveRef": "dynamic references",
    "unevaluatedProperties": "what other keywords left over",
    "unevaluatedItems": "what other keywords left over",
}
"""Keywords that no grammar says. All others that are not in `_SHAPES` are annotations and change nothing."""

_SCHEMA = (dict, bool)
_NUMBER = (int, float)
_INDEX = re.compile(r"[0-9]{1,9}")
# The type of each known keyword's value. `exclusiveMinimum: true` is draft 4.
_SHAPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("$ref", "pattern", "format"), (str,)),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "enum", "required", "prefixItems"), (list,)),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), (dict,)),
    **dict.fromkeys(("dependencies", "dependentRequired", "dependentSchemas"), (dict,)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"), _NUMBER),
    **dict.fromkeys(("minProperties", "maxProperties", "minimum", "maximum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), (int, float, bool)),
    **dict.fromkeys(("additionalProperties", "propertyNames", "contains", "additionalItems", "not"), _SCHEMA),
    "items": (dict, bool, list),
    "uniqueItems": (bool,),
    "type": (str, list),
}
_KEPT = frozenset(key for keys in OF_TYPE.values() for key in keys)
_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}


def normalise(schema: Any, *, param: str, namespace: str = "") -> Core:
    """The enforceable schema that stands for `schema`; its definitions' names begin with `namespace`.

    Raises InvalidRequest that names the keyword and its JSON pointer within `param`.
    """
    if not isinstance(schema, Mapping):
        raise wrong_field(param, "a JSON schema (an object)", schema)
    if _deeper(schema, DEEPEST * 3):
        raise InvalidRequest(f"{param}: expected a schema nested at most {DEEPEST} deep.", param=param)
    size = len(json.dumps(schema))
    if size > LARGEST_BYTES:
        raise InvalidRequest(f"{param}: expected a schema of at most {LARGEST_BYTES} bytes; got {size}.", param=param)
    return _Lowering(dict(schema), param, namespace).run()


def check_schema(schema: Any, *, param: str) -> None:
    """Refuse what can't be enforced, as `normalise` does; the same for every engine."""
    normalise(schema, param=param)


class _Lowering:
    def __init__(self, root: dict[str, Any], param: str, namespace: str) -> None:
        self._root = root
        self._param = param
        self._namespace = namespace
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._definitions: dict[str, Core] = {}
        self._nodes = 0
        self._depth = 0
        self._branches: list[str] = []

    def run(self) -> Core:
        try:
            core = self.lower(self._root, "")
            while self._waiting:
                pointer = self._waiting.pop()
                self._definitions[self._names[pointer]] = self.lower(self._target(pointer, pointer), pointer[1:])
        except Never as never:
            self._refuse("", f"no value can satisfy it ({never})")
        self._check_recursion({"": core, **self._definitions})
        whole = {**core, "$defs": self._definitions} if self._definitions else core
        places = distinct_places(whole)
        if places is not None and (unheld := places.conflict()):
            self._refuse(unheld, "an alternative at the same place needs items that repeat")
        return whole

    def lower(self, schema: Schema, at: str) -> Core:
        """The core of a schema at this JSON pointer. Raises Never where nothing satisfies it."""
        branches, self._branches = self._branches, []
        try:
            with self._one_deeper(at):
                if isinstance(schema, Mapping) and (name := self._plain_reference(schema, at)):
                    return {"$ref": f"#/$defs/{name}"}
                return self._lower_flat(self._flat(schema, at), at)
        finally:
            self._branches = branches

    def _lower_branch(self, flat: Flat, pointer: str) -> Core:
        """The core of what holds together at the place of a union when this branch of it is taken."""
        if self._branches.count(pointer) == MOST_TURNS:
            self._refuse(pointer.rpartition("/")[0], "it leads back to itself")
        self._branches.append(pointer)
        try:
            with self._one_deeper(pointer):
                return self._lower_flat(flat, pointer)
        finally:
            self._branches.pop()

    @contextmanager
    def _one_deeper(self, at: str) -> Iterator[None]:
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(at, f"the schema is nested deeper than {DEEPEST}")
        try:
            yield
        finally:
            self._depth -= 1

    def _lower_flat(self, flat: Flat, at: str) -> Core:
        if flat.never:
            raise Never(at or "/")
        if flat.unions:
            return self._lower_union(flat, at)
        keywords = flat.keywords
        if "enum" in keywords:
            return self._enumeration(keywords, at)
        implied = [kind for kind, keys in OF_TYPE.items() if any(key in keywords for key in keys)]
        types = keywords.get("type") or implied
        if not types:
            return {}
        return _any_of([partial(self._of_type, kind, keywords, at) for kind in types], at)

    def _of_type(self, kind: str, keywords: dict[str, Any], at: str) -> Core:
        try:
            match kind:
                case "object":
                    return lower_object(keywords, at, self.lower)
                case "array":
                    return lower_array(keywords, at, self.lower)
                case "string":
                    return lower_string(keywords)
                case "integer" | "number":
                    return lower_number(kind, keywords)
                case _:
                    return {"type": kind}
        except Unenforceable as refused:
            self._refuse(f"{at}/{refused.keyword}", str(refused))

    def _enumeration(self, keywords: dict[str, Any], at: str) -> Core:
        """The listed values that the keywords beside them allow."""
        types = keywords.get("type", TYPES)
        values = [value for value in keywords["enum"] if overlap([type_of(value)], list(types))]
        for kind, keys in OF_TYPE.items():
            beside = [key for key in keys if key in keywords and key != "format"]
            if beside and any(overlap([type_of(value)], [kind]) for value in values):
                if not all(key in COMPARED for key in beside):
                    self._refuse(f"{at}/{beside[0]}", "it stands beside enum or const, which say it all")
                values = [
                    value for value in values if overlap([type_of(value)], [kind]) == [] or allows(keywords, value)
                ]
        if not values:
            raise Never(at or "/")
        return {"enum": values}

    def _lower_union(self, flat: Flat, at: str) -> Core:
        union, *others = flat.unions
        base = Flat(flat.keywords, others)
        alone = not base.keywords and not others
        met = {pointer: self._meet(base, self._flat(branch, pointer), pointer) for branch, pointer in union.branches}
        changed = set()
        if union.keyword == "oneOf":
            living = {pointer: flat for pointer, flat in met.items() if not flat.never}
            try:
                changed = keep_apart(living, self._flat)
            except Unenforceable as refused:
                self._refuse(f"{at}/oneOf", str(refused))
        return _any_of(
            [
                partial(self.lower, branch, pointer)
                if alone and pointer not in changed
                else partial(self._lower_branch, met[pointer], pointer)
                for branch, pointer in union.branches
            ],
            at,
        )

    def _flat(self, schema: Schema, at: str, seen: tuple[str, ...] = ()) -> Flat:
        """What the schema demands, references and allOf written out."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._refuse(at, f"the schema has more than {MOST_NODES} parts when written out")
        if isinstance(schema, bool):
            return Flat() if schema else Flat({"type": []})
        keywords = self._keywords(schema, at)
        flat = Flat({key: value for key, value in keywords.items() if key in _KEPT})
        if "type" in keywords:
            kinds = keywords["type"] if isinstance(keywords["type"], list) else [keywords["type"]]
            flat.keywords["type"] = [kind for kind in kinds if not (kind == "integer" and "number" in kinds)]
        values = [keywords["const"]] if "const" in keywords else keywords.get("enum")
        if values is not None:
            flat.keywords["enum"] = values
        if "$ref" in keywords:
            flat = self._meet(flat, self._followed(keywords["$ref"], at, seen), at)
        for index, part in enumerate(keywords.get("allOf", ())):
            flat = self._meet(flat, self._flat(part, f"{at}/allOf/{index}", seen), at)
        if "not" in keywords:
            flat = self._meet(flat, self._negated(keywords["not"], at), at)
        for key in ("anyOf", "oneOf"):
            if key in keywords:
                branches = tuple((part, f"{at}/{key}/{index}") for index, part in enumerate(keywords[key]))
                flat.unions.append(Union(key, branches))
        for key in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, then in keywords.get(key, {}).items():
                demanded: Schema = {"required": then} if isinstance(then, list) else then
                without: Schema = {"properties": {name: False}}
                present = both({"required": [name]}, demanded)
                flat.unions.append(Union("anyOf", ((present, f"{at}/{key}/{name}"), (without, at))))
        return flat

    def _followed(self, pointer: str, at: str, seen: tuple[str, ...]) -> Flat:
        """What the schema that a reference leads to demands."""
        if pointer in seen:
            self._refuse(f"{at}/$ref", "it leads back to itself")
        if len(seen) == DEEPEST:
            self._refuse(f"{at}/$ref", f"it leads through more than {DEEPEST} references")
        return self._flat(self._target(pointer, at), unquote(pointer[1:]), (*seen, pointer))

    def _negated(self, schema: Schema, at: str) -> Flat:
        """What does not satisfy a schema that only names types or properties."""
        if isinstance(schema, bool):
            return Flat({"type": []}) if schema else Flat()
        keywords = self._keywords(schema, f"{at}/not")
        flat = Flat()
        if set(keywords) == {"required"} and len(keywords["required"]) == 1:
            flat.keywords["properties"] = {keywords["required"][0]: False}
        elif set(keywords) == {"type"}:
            kinds = keywords["type"] if isinstance(keywords["type"], list) else [keywords["type"]]
            # What is no integer is taken for no number at all, as a number may be written without a fraction.
            ruled_out = {*kinds, "integer", *(["number"] if "integer" in kinds else [])}
            flat.keywords["type"] = [kind for kind in TYPES if kind not in ruled_out]
        elif set(keywords) == {"anyOf"}:
            for part in keywords["anyOf"]:
                flat = self._meet(flat, self._negated(part, at), at)
        else:
            self._refuse(f"{at}/not", "negation is enforced for a single type or required property only")
        return flat

    def _keywords(self, schema: Mapping[str, Any], at: str) -> dict[str, Any]:
        """The schema's own keywords, checked, in today's spelling."""
        keywords = dict(schema)
        for key, what in REFUSED.items():
            inert = keywords.get(key) is True or (key == "if" and not {"then", "else"} & keywords.keys())
            if key in keywords and not inert:
                self._refuse(f"{at}/{key}", f"{what} can't be enforced")
        for key, shapes in _SHAPES.items():
            value = keywords.get(key)
            if key in keywords and (not isinstance(value, shapes) or (isinstance(value, bool) and bool not in shapes)):
                self._refuse(f"{at}/{key}", f"expected {_NAMES[shapes[0]]}; got {describe(value)}")
        problem = misspelling(keywords)
        if problem is not None:
            self._refuse(f"{at}/{problem[0]}", problem[1])
        if at and any(str(keywords.get(key, "#"))[:1] != "#" for key in ("$id", "id")) and "$ref" in json.dumps(schema):
            self._refuse(f"{at}/$id", "references below another base URI can't be followed")
        if "format" in keywords and not is_enforced(keywords):
            del keywords["format"]
        return modern(keywords)

    def _plain_reference(self, schema: Mapping[str, Any], at: str) -> str | None:
        """The name of the definition that this schema is no more than a reference to."""
        pointer = schema.get("$ref")
        if not isinstance(pointer, str) or any(
            key in _SHAPES or key in REFUSED or key == "const" for key in schema if key != "$ref"
        ):
            return None
        self._target(pointer, at)
        if pointer not in self._names:
            self._names[pointer] = f"{self._namespace}d{len(self._names)}"
            self._waiting.append(pointer)
        return self._names[pointer]

    def _target(self, pointer: str, at: str) -> Schema:
        if pointer != "#" and not pointer.startswith("#/"):
            self._refuse(
                f"{at}/$ref", f"only references within the schema (#/...) can be followed; got {pointer!r:.80}"
            )
        target: Any = self._root
        for token in unquote(pointer[2:]).split("/") if len(pointer) > 1 else ():
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and _INDEX.fullmatch(key) and int(key) < len(target):
                target = target[int(key)]
            elif isinstance(target, dict) and key in target:
                target = target[key]
            else:
                self._refuse(f"{at}/$ref", f"there is nothing at {pointer!r:.80}")
        if not isinstance(target, dict | bool):
            self._refuse(f"{at}/$ref", f"there is no schema at {pointer!r:.80}")
        return target

    def _meet(self, a: Flat, b: Flat, at: str) -> Flat:
        try:
            return meet(a, b)
        except Conflict as conflict:
            self._refuse(f"{at}/{conflict}", "two schemas that must both hold differ in it")

    def _check_recursion(self, cores: dict[str, Core]) -> None:
        """Every definition must come to an end, and none may begin with itself."""
        ending: set[str] = set()
        while grown := {name for name, core in cores.items() if name not in ending and ends(core, ending)}:
            ending |= grown
        heads = {name: set(first_references(core)) for name, core in cores.items()}
        for name in cores:
            pointer = next((pointer for pointer, known in self._names.items() if known == name), "#")[1:]
            if name not in ending:
                self._refuse(f"{pointer}/$ref", "no value that it allows comes to an end")
            reached = heads[name]
            while further := {after for head in reached for after in heads[head]} - reached:
                reached |= further
            if name in reached:
                self._refuse(f"{pointer}/$ref", "it leads back to itself")

    def _refuse(self, pointer: str, why: str) -> NoReturn:
        keyword = pointer.rsplit("/", 1)[-1]
        where = pointer or "/"
        message = f"{self._param}: the schema's {keyword or 'root'} at {where} can't be enforced: {why}."
        raise InvalidRequest(message, param=self._param, reason="unsupported_parameter")


def _any_of(makers: Sequence[Callable[[], Core]], at: str) -> Core:
    """The alternatives that something can satisfy, as one core."""
    cores: list[Core] = []
    for make in makers:
        try:
            core = make()
        except Never:
            continue
        cores += [new for new in (core["anyOf"] if set(core) == {"anyOf"} else [core]) if new not in cores]
    if not cores:
        raise Never(at or "/")
    return cores[0] if len(cores) == 1 else {"anyOf": cores}


def _deeper(value: Any, limit: int) -> bool:
    """Whether lists and objects are nested deeper than this, without recursion of our own."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return bool(level)
