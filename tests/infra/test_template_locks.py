"""What is installed, here and in Lambda: the same versions, by hash, from wherever the machine gets its packages."""

from __future__ import annotations

import re

import pytest

from tests.infra.transformed import ROOT

PLACES = ("*.lock", "layers/*/*.lock", "tests/clients/*/*.lock", "benchmarks/*/*.lock")
LOCKS = sorted(path.relative_to(ROOT).as_posix() for place in PLACES for path in ROOT.glob(place))


def pins(lock: str) -> dict[str, str]:
    """Package to version."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE))


def test_every_lock_is_here() -> None:
    assert LOCKS == [
        "benchmarks/peers/bedrock-access-gateway.lock",
        "benchmarks/peers/requirements.lock",
        "layers/dependencies/requirements.lock",
        "requirements-audit.lock",
        "requirements-checkov.lock",
        "requirements-corpora.lock",
        "requirements-dev.lock",
        "requirements-model.lock",
        "requirements-sam.lock",
        "requirements.lock",
        "tests/clients/instructor/requirements.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) >= 1
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_each_waiver_of_checkov_is_a_rule_with_its_reason() -> None:
    _, _, waivers = (ROOT / "infra/.checkov.yaml").read_text("utf-8").partition("skip-check:\n")
    assert [
        line for line in waivers.splitlines() if not re.fullmatch(r"  - CKV2?_AWS_\d+  # [a-z].{20,}", line, re.I)
    ] == []


def test_lambda_runs_the_versions_that_are_tested_here() -> None:
    assert pins("layers/dependencies/requirements.lock").items() <= pins("requirements.lock").items()


def test_the_tests_run_on_the_versions_of_the_local_run() -> None:
    everyday, tested = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: tested[name] for name in everyday.keys() & tested.keys()} == {
        name: everyday[name] for name in everyday.keys() & tested.keys()
    }
