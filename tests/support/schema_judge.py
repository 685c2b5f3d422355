"""The public judge of what a schema's answers are held to."""

from __future__ import annotations

from typing import Any

import jsonschema
from gateway.domain.json_lowering import FORMATS


def validator_of(schema: Any) -> Any:
    """A judge of all that is enforced: the formats of docs/api.md, and none beside a pattern."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    formats = jsonschema.FormatChecker(())
    formats.checkers = {name: each for name, each in kind.FORMAT_CHECKER.checkers.items() if name in FORMATS}
    return kind(_without_annotations(schema), format_checker=formats)


def _without_annotations(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_annotations(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    annotates = "pattern" in schema and isinstance(schema.get("format"), str)
    return {
        name: value if name in ("enum", "const", "default", "examples") else _without_annotations(value)
        for name, value in schema.items()
        if not (annotates and name == "format")
    }
