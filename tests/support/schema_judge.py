"""The public judge of what a schema's answers are held to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jsonschema
import re2
from gateway.domain.json_formats import FORMATS

Rule = Callable[[Any, Any, Any, Any], Iterable[jsonschema.ValidationError] | None]


class Judge:
    """A validator for all that is enforced: the formats of docs/api.md too, but none of a string that has to be one of
    a list, or to match a pattern."""

    def __init__(self, schema: Any) -> None:
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        formats = jsonschema.FormatChecker(())
        formats.checkers = {name: each for name, each in kind.FORMAT_CHECKER.checkers.items() if name in FORMATS}
        rules = {name: self._telling(kind.VALIDATORS[name]) for name in ("enum", "const") if name in kind.VALIDATORS}
        rules |= {"pattern": self._telling(_judge_pattern), "format": self._unless_told(kind.VALIDATORS["format"])}
        self._told: set[str] = set()
        self._listens = False
        self._validator = jsonschema.validators.extend(kind, rules)(schema, format_checker=formats)

    def check_schema(self, schema: Any) -> None:
        """Raises SchemaError where it is none."""
        self._validator.check_schema(schema)

    def validate(self, value: Any) -> None:
        """Raises ValidationError."""
        for error in self.iter_errors(value):
            raise error

    def iter_errors(self, value: Any) -> Iterator[jsonschema.ValidationError]:
        """What is wrong with it."""
        self._told.clear()
        self._listens = True  # which strings are told what to be; no format ends that early
        for _ in self._validator.iter_errors(value):
            pass
        self._listens = False
        yield from self._validator.iter_errors(value)

    def _telling(self, rule: Rule) -> Rule:
        def judge(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
            if isinstance(value, str):
                self._told.add(value)
            yield from rule(validator, keyword, value, schema) or ()

        return judge

    def _unless_told(self, rule: Rule) -> Rule:
        def judge(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
            if not self._listens and not (isinstance(value, str) and value in self._told):
                yield from rule(validator, keyword, value, schema) or ()

        return judge


def _judge_pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """jsonschema's own rule, but where RE2 finds the pattern Python's `re` is spared: on some that the world writes
    (`\\w+([.-]?\\w+)*@…`) it would not end in our time."""
    if isinstance(value, str) and not _found(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _found(pattern: str, value: str) -> bool:
    try:
        if re2.search(pattern, value) is not None:
            return True
    except (re2.error, UnicodeError):
        pass  # what only `re` knows
    return re.search(pattern, value) is not None
