"""Any schema gives a grammar whose every sentence validates, or one refusal that names the keyword. Nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import jsonschema
import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_grammar import grammar_of
from gateway.domain.json_schema import normalise
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.bench_schemas import bench_names, bench_schema, sampled
from tests.support.grammar_sampler import GrammarSampler
from tests.support.schema_judge import Judge
from tests.support.schema_strategy import ACCEPTED_MOSTLY, REFUSED_SOMEWHERE
from tests.support.shown import shown

REFUSAL = re.compile(r"here: the schema's (?P<keyword>.+) at (?P<pointer>/.*) can't be enforced: .+", re.S)
LIMITS = re.compile(
    r"'here' must be a JSON schema|here: expected a schema (of at most \d+ bytes|nested at most \d+ deep)"
)


def core_or_refusal(schema: Any) -> dict[str, Any] | None:
    """The enforceable schema; None for a refusal, which says where and what."""
    try:
        return normalise(schema, param="here")
    except InvalidRequest as caught:
        refused = caught
    assert (refused.status, refused.param) == (400, "here")
    named = REFUSAL.fullmatch(refused.message)
    assert named or LIMITS.match(refused.message), refused.message
    assert named is None or named["pointer"] == "/" or named["pointer"].endswith(named["keyword"])
    return None


def sentences(core: dict[str, Any], seed: int, count: int) -> Iterator[Any]:
    """Values that the core's grammar allows; fewer where chance alone leads nowhere."""
    sampler = GrammarSampler(grammar_of(core), Random(seed))
    for _ in range(count):
        try:
            text = sampler.sentence()
        except RecursionError:
            continue
        yield json.loads(shown(core, text))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=ACCEPTED_MOSTLY, seed=st.integers(0, 999))
def test_what_a_grammar_allows_validates_against_its_schema(schema: Any, seed: int) -> None:
    core = core_or_refusal(schema)
    event("refused" if core is None else "enforced")
    if core is None:
        return
    jsonschema.Draft202012Validator.check_schema(core)
    for value in sentences(core, seed, 4):
        Judge(schema).validate(value)
        Judge(core).validate(value)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=REFUSED_SOMEWHERE, seed=st.integers(0, 999))
def test_a_schema_with_what_can_not_be_enforced_is_refused_or_does_without_it(schema: Any, seed: int) -> None:
    core = core_or_refusal(schema)
    for value in sentences(core, seed, 3) if core is not None else ():
        Judge(schema).validate(value)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["string", "#", "#/a", "^("]),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "properties", "items", "anyOf", "allOf", "$ref", "enum", "required", "not"])
                | st.sampled_from(["pattern", "minLength", "additionalProperties", "$defs", "const", "a", "$id"]),
                children,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_no_json_at_all_does_more_to_the_schema_reader_than_be_refused(value: Any) -> None:
    core = core_or_refusal(value)
    if core is not None:
        assert grammar_of(core).startswith("root ::= ")


def test_the_sample_is_300_files_over_its_ten_sets() -> None:
    sets = Counter(name.split("/")[1] for name in sampled())
    assert list(sets.values()) == [30] * 10


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning", "ignore:Possible set:FutureWarning")
@pytest.mark.parametrize("name", bench_names())
def test_a_schema_of_the_world_is_enforced_or_refused_by_keyword(name: str) -> None:
    schema = bench_schema(name)
    core = core_or_refusal(schema)
    if core is None:
        return
    try:
        validator = Judge(schema)
        validator.check_schema(schema)
    except jsonschema.SchemaError:
        return  # its own judge does not take it
    for value in sentences(core, 1, 3):
        assert next(validator.iter_errors(value), None) is None
