"""One type of value at a time: the keywords that speak of it, in the forms that engines enforce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import permutations
from typing import Any

from gateway.domain.json_distinct import DISTINCT
from gateway.domain.json_flat import Schema, both
from gateway.domain.json_formats import FORMATS
from gateway.domain.json_numbers import LARGEST, Bound, integer_range
from gateway.domain.json_pattern import UnsupportedPattern, literal_prefix, parse_pattern, width
from gateway.domain.json_pattern_fit import fit

Core = dict[str, Any]
Lower = Callable[[Schema, str], Core]

_MOST_LISTED = 256
_MOST_PERMUTED = 5

COMPARED = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties",
)  # fmt: skip
"""Keywords that `allows` can judge on a given value."""


class Never(Exception):
    """No value satisfies the schema; the message is its JSON pointer."""


class Unenforceable(Exception):
    """A keyword that no grammar holds."""

    def __init__(self, keyword: str, why: str) -> None:
        super().__init__(why)
        self.keyword = keyword


def allows(keywords: Mapping[str, Any], value: Any) -> bool:
    """Whether the `COMPARED` keywords hold for the value."""
    size = len(value) if isinstance(value, str | list | dict) else value
    kind = "Length" if isinstance(value, str) else "Items" if isinstance(value, list) else "Properties"
    kind = kind if isinstance(value, str | list | dict) else "imum"
    return (
        size >= keywords.get(f"min{kind}", size)
        and size <= keywords.get(f"max{kind}", size)
        and (kind != "imum" or "exclusiveMinimum" not in keywords or size > keywords["exclusiveMinimum"])
        and (kind != "imum" or "exclusiveMaximum" not in keywords or size < keywords["exclusiveMaximum"])
    )


def lower_number(kind: str, keywords: Mapping[str, Any]) -> Core:
    """Bounds and, where they leave few values, multipleOf."""
    step = keywords.get("multipleOf")
    if step is not None and step == int(step):
        kind, step = "integer", int(step) if step > 1 else None
    low, high = bound(keywords, "minimum", "exclusiveMinimum"), bound(keywords, "maximum", "exclusiveMaximum")
    least, greatest = integer_range(low, high)
    if step is not None:
        return _multiples(step, least, greatest)
    if (low is not None and low.value > LARGEST) or (high is not None and -high.value > LARGEST):
        raise Unenforceable("minimum" if high is None else "maximum", "no number of at most 15 digits is within it")
    core: Core = {"type": kind}
    if kind == "integer":
        if least is not None and greatest is not None and least > greatest:
            raise Never("minimum")
        return core | {k: v for k, v in (("minimum", least), ("maximum", greatest)) if v is not None}
    if low and high and (low.value > high.value or (low.value == high.value and (low.strict or high.strict))):
        raise Never("minimum")
    for limit, side in ((low, "inimum"), (high, "aximum")):
        if limit is not None:
            core[f"exclusiveM{side}" if limit.strict else f"m{side}"] = (
                int(limit.value) if limit.value == limit.value.to_integral_value() else float(limit.value)
            )
    return core


def bound(keywords: Mapping[str, Any], inclusive: str, exclusive: str) -> Bound | None:
    """The tighter of two limits on one side."""
    limits = [
        Bound(Decimal(repr(keywords[key])), strict)
        for key, strict in ((inclusive, False), (exclusive, True))
        if key in keywords
    ]
    tightest = max if inclusive == "minimum" else min
    sign = 1 if inclusive == "minimum" else -1
    return tightest(limits, key=lambda limit: (limit.value, limit.strict * sign)) if limits else None


def _multiples(step: float, least: int | None, greatest: int | None) -> Core:
    if not isinstance(step, int) or least is None or greatest is None:
        raise Unenforceable("multipleOf", "it is enforced for integers between a minimum and a maximum only")
    values = range(-(-least // step) * step, greatest + 1, step)
    if len(values) > _MOST_LISTED:
        raise Unenforceable("multipleOf", f"it leaves more than {_MOST_LISTED} values")
    if not values:
        raise Never("multipleOf")
    return {"enum": list(values)}


def lower_string(keywords: Mapping[str, Any]) -> Core:
    """A pattern, else a format's, and lengths. Where a pattern has to hold, a format is an annotation."""
    least, most = int(keywords.get("minLength", 0)), keywords.get("maxLength")
    if most is not None and most < least:
        raise Never("minLength")
    key = "pattern" if "pattern" in keywords else "format"
    if key not in keywords:
        return {"type": "string", **_lengths(least, most)}
    pattern = FORMATS[keywords["format"]] if key == "format" else keywords["pattern"]
    try:
        node = parse_pattern(pattern)
    except UnsupportedPattern as unsupported:
        raise Unenforceable(key, f"{unsupported} is not understood") from unsupported
    shortest, longest = width(node)
    if (longest is not None and longest < least) or (most is not None and shortest > most):
        raise Never(key)
    if fit(node, least, most) is None:
        raise Unenforceable(key, "it allows lengths that minLength or maxLength do not")
    return {"type": "string", "pattern": pattern, **_lengths(least, most)}


def _lengths(least: int, most: int | None) -> Core:
    return {k: int(v) for k, v in (("minLength", least or None), ("maxLength", most)) if v is not None}


def lower_array(keywords: Mapping[str, Any], at: str, lower: Lower) -> Core:
    """Items by place and by kind, and how many."""
    least, most = int(keywords.get("minItems", 0)), keywords.get("maxItems")
    items: Schema = keywords.get("items", True)
    if "contains" in keywords and keywords.get("minContains", 1) > 0:
        if keywords.get("prefixItems"):
            raise Unenforceable("contains", "it is not enforced beside prefixItems")
        items = both(items, keywords["contains"])
        least = max(least, int(keywords.get("minContains", 1)))
        most = min((limit for limit in (most, keywords.get("maxContains")) if limit is not None), default=None)
    elif "contains" in keywords and "maxContains" in keywords:
        raise Unenforceable("maxContains", "it is not enforced without a minimum")
    prefix: list[Core] = []
    for index, schema in enumerate(keywords.get("prefixItems", ())):
        try:
            prefix.append(lower(schema, f"{at}/prefixItems/{index}"))
        except Never:
            items = False
            break
    item: Core | None = None
    try:
        item = lower(items, f"{at}/items")
    except Never:
        most = min(len(prefix), len(prefix) if most is None else most)
    if most is not None and most < least:
        raise Never("minItems")
    core: Core = {"type": "array"}
    if prefix:
        core["prefixItems"] = prefix
    if item:
        core["items"] = item
    if least:
        core["minItems"] = least
    if most is not None:
        core["maxItems"] = int(most)
    unique = keywords.get("uniqueItems") and (most is None or most > 1)
    return _without_repeat(core, at) if unique else core


def _without_repeat(core: Core, at: str) -> Core:
    """The array with its lists written out where the items are a few listed values, else marked (`json_distinct`)."""
    item, least = core.get("items", {}), core.get("minItems", 0)
    values = [True, False] if item == {"type": "boolean"} else item.get("enum", [])
    if 0 < len(values) <= _MOST_PERMUTED and "prefixItems" not in core:
        return _permuted(values, least, core.get("maxItems"))
    if "prefixItems" in core or least > 1:
        few = f"for items of at most {_MOST_PERMUTED} listed values only"
        raise Unenforceable("uniqueItems", f"beside prefixItems, or minItems above 1, it is enforced {few}")
    return core | {DISTINCT: f"{at}/uniqueItems"}


def _permuted(values: list[Any], least: int, most: int | None) -> Core:
    """Every list without a repeat of values that are few enough to write all of them."""
    sizes = range(least, min(len(values), len(values) if most is None else int(most)) + 1)
    lists = [list(chosen) for size in sizes for chosen in permutations(values, size)]
    if not lists:
        raise Never("uniqueItems")
    return {"enum": lists}


def lower_object(keywords: Mapping[str, Any], at: str, lower: Lower) -> Core:
    """A record of named properties, or, where none is named, a map."""
    required = list(keywords.get("required", ()))
    additional: Schema = keywords.get("additionalProperties", True)
    patterns: Mapping[str, Schema] = keywords.get("patternProperties", {})
    properties: dict[str, Schema] = dict(keywords.get("properties", {}))
    names = keywords.get("propertyNames", True)
    match names:
        case True | {"type": "string"} if names is True or set(names) == {"type"}:
            pass
        case {"enum": list() as listed} if not (properties or required or patterns):
            properties = {name: additional for name in listed if isinstance(name, str)}
        case {"pattern": str() as pattern, **others} if set(others) <= {"type"} and not (
            properties or required or patterns
        ):
            patterns = {pattern: additional}
        case _:
            raise Unenforceable("propertyNames", "it is enforced as an enum, or as a pattern where no name is given")
    properties = {**properties, **{name: additional for name in required if name not in properties}}
    if not properties:
        return _map(keywords, patterns, additional, at, lower)
    return _record(keywords, properties, required, patterns, at, lower)


def _map(
    keywords: Mapping[str, Any], patterns: Mapping[str, Schema], additional: Schema, at: str, lower: Lower
) -> Core:
    least, most = int(keywords.get("minProperties", 0)), keywords.get("maxProperties")
    if least > 1:
        raise Unenforceable("minProperties", "more than one is not enforced for objects without named properties")
    core: Core = {"type": "object"}
    try:
        if patterns:
            core["patternProperties"] = _patterned(patterns, at, lower)
            core["additionalProperties"] = False
        elif (value := lower(additional, f"{at}/additionalProperties")) != {}:
            core["additionalProperties"] = value
    except Never:
        core = {"type": "object", "properties": {}, "additionalProperties": False}
        most = None
        if least:
            raise
    if most is not None and most < least:
        raise Never("minProperties")
    return core | {k: int(v) for k, v in (("minProperties", least or None), ("maxProperties", most)) if v is not None}


def _patterned(patterns: Mapping[str, Schema], at: str, lower: Lower) -> dict[str, Core]:
    """Each pattern with the schema of its values, and of all patterns that one of its names may match too."""
    cores: dict[str, Core] = {}
    for pattern in patterns:
        schema = patterns[pattern]
        for other, demanded in patterns.items():
            if other != pattern and not _apart(pattern, other):
                schema = both(schema, demanded)
        try:
            parse_pattern(pattern)
            cores[pattern] = lower(schema, f"{at}/patternProperties/{pattern}")
        except UnsupportedPattern as unsupported:
            raise Unenforceable("patternProperties", f"{unsupported} is not understood") from unsupported
        except Never:
            continue
    if not cores:
        raise Never("patternProperties")
    return cores


def _apart(a: str, b: str) -> bool:
    one, two = literal_prefix(a), literal_prefix(b)
    return not (one.startswith(two) or two.startswith(one))


def _record(
    keywords: Mapping[str, Any],
    properties: dict[str, Schema],
    required: list[str],
    patterns: Mapping[str, Schema],
    at: str,
    lower: Lower,
) -> Core:
    cores: dict[str, Core] = {}
    for name, own in properties.items():
        schema = own
        for pattern, demanded in patterns.items():
            # Where the pattern may match the name, its schema holds too; holding it needlessly does no harm.
            if name.startswith(literal_prefix(pattern)):
                schema = both(schema, demanded)
        try:
            cores[name] = lower(schema, f"{at}/properties/{name}")
        except Never:
            if name in required:
                raise
    return _counted(cores, required, int(keywords.get("minProperties", 0)), keywords.get("maxProperties"))


def _counted(cores: dict[str, Core], required: list[str], least: int, most: int | None) -> Core:
    """The record with its number of properties held, where that can be said by which of them are required."""
    if least > len(cores) or (most is not None and most < max(least, len(required))):
        raise Never("minProperties")
    if least == len(cores):
        required = list(cores)
    if most is not None and most == len(required):
        cores = {name: core for name, core in cores.items() if name in required}
    record: Core = {"type": "object", "properties": cores, "additionalProperties": False}
    if required:
        record["required"] = [name for name in cores if name in required]
    if least > len(required):
        if least > 1 or required:
            raise Unenforceable("minProperties", "more properties than are required can't be counted")
        record["minProperties"] = 1
    if most is not None and most < len(cores):
        if most > 1:
            raise Unenforceable("maxProperties", "fewer properties than are named can't be counted")
        record["maxProperties"] = 1
    return record
