"""What we depend on: its licences, what is known against it, and the document of what is deployed."""

from __future__ import annotations

import json
import sys
import tomllib
from email.message import Message
from importlib.metadata import Distribution, distributions
from os import PathLike
from pathlib import Path

import pytest

from infra.build import licences, sbom
from infra.build.audit import Verdict, judge_npm_audit, judge_pip_audit
from infra.build.licences import is_allowed, licence_of
from infra.build.locks import node_locks, python_locks, read_node_licences, read_python_lock
from infra.build.sbom import LAYER_LOCK

ROOT = Path(__file__).parents[2]
OSI = "License :: OSI Approved"
UNREACHABLE = Verdict(not_audited="the database of vulnerabilities can't be reached from here")


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "Apache-2.0 OR GPL-3.0",
        "GPL-3.0 OR MIT",
        "(GPL-2.0 OR MIT) AND BSD-3-Clause",
        "MPL-2.0 AND (Apache-2.0 OR MIT)",
    ],
)
def test_a_licence_that_can_be_satisfied_from_the_list_is_allowed(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "GPL-3.0",
        "AGPL-3.0-only",
        "MIT AND GPL-3.0",
        "(MIT AND GPL-3.0) OR SSPL-1.0",
        "Proprietary",
        "MIT GPL-3.0",
        "(MIT",
    ],
)
def test_any_other_licence_is_refused(expression: str) -> None:
    assert not is_allowed(expression)


def test_every_package_of_this_environment_and_of_npm_s_locks_has_an_allowed_licence() -> None:
    sources = {".venv": licences.installed(Path(sys.prefix))}
    sources |= {str(lock.relative_to(ROOT)): read_node_licences(lock) for lock in node_locks(ROOT)}
    assert all(sources.values())
    assert licences.refusals(sources) == []


def test_a_refused_licence_fails_the_list_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"packages": {"node_modules/@a/b": {"version": "1.0.0", "license": "GPL-3.0-only"}}}))
    assert licences.main([str(tmp_path / "licences.md"), str(lock)]) == 1
    assert "@a/b 1.0.0 has the licence 'GPL-3.0-only'" in capsys.readouterr().err
    assert "| @a/b 1.0.0 | GPL-3.0-only |" in (tmp_path / "licences.md").read_text()


class Described(Distribution):
    """A distribution that is its metadata."""

    def __init__(self, **fields: str | list[str]) -> None:
        message = Message()
        for name, value in fields.items():
            for each in [value] if isinstance(value, str) else value:
                message[name.replace("_", "-")] = each
        self._text = message.as_string()

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        return Path(path)


@pytest.mark.parametrize(
    ("distribution", "licence"),
    [
        (Described(License_Expression="MIT", License="GPL"), "MIT"),
        (Described(License="Apache License 2.0"), "Apache-2.0"),
        (Described(License="see the file", Classifier=f"{OSI} :: BSD License"), "BSD-3-Clause"),
        (
            Described(License="Dual", Classifier=[f"{OSI} :: BSD License", f"{OSI} :: Apache Software License"]),
            "BSD-3-Clause OR Apache-2.0",
        ),
        (Described(Classifier=f"{OSI} :: GNU General Public License v3"), "GNU-General-Public-License-v3"),
        (Described(License="Our own terms"), "Our own terms"),
        (Described(Name="unknown"), ""),
    ],
)  # fmt: skip
def test_a_package_s_licence_is_read_where_its_authors_put_it(distribution: Distribution, licence: str) -> None:
    assert licence_of(distribution) == licence


def test_every_lock_file_is_found_and_complete() -> None:
    names = {str(path.relative_to(ROOT)) for path in [*python_locks(ROOT), *node_locks(ROOT)]}
    assert {"requirements.lock", "requirements-audit.lock", LAYER_LOCK, "tests/clients/node/package-lock.json"} <= names
    for lock in python_locks(ROOT):
        pinned = [line for line in lock.read_text("utf-8").splitlines() if line and line[0] not in " #"]
        assert len(read_python_lock(lock)) == len(pinned) > 0


# What pip-audit 2 and npm 11 printed of databases on loopback with one entry made up in each.
PIP_FOUND = (
    '{"dependencies": [{"name": "click", "version": "8.5.1", "vulns": []}, {"name": "h11", "version": "0.16.0", '
    '"vulns": [{"id": "CVE-0000-1", "fix_versions": ["9.9"], "aliases": ["GHSA-made-up"], "description": "s"}]}], '
    '"fixes": []}'
)
PIP_SKIPPED = '{"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"}'
NPM_FOUND = """{"auditReportVersion": 2, "vulnerabilities": {"openai": {"name": "openai", "severity": "high", "via": [
  {"source": 1, "name": "openai", "title": "Made up for a test", "severity": "high", "range": "<99"}], "range": ""},
  "ai": {"name": "ai", "severity": "high", "via": ["openai"], "range": "*"}}, "metadata": {}}"""


def test_what_is_known_against_a_package_is_a_finding() -> None:
    assert judge_pip_audit(PIP_FOUND, "") == Verdict(("h11 0.16.0: CVE-0000-1, mended in 9.9",))
    assert judge_npm_audit(NPM_FOUND, "") == Verdict(
        ("ai: high, by way of openai", "openai: high, Made up for a test (<99)")
    )


def test_nothing_known_is_said_to_be_nothing() -> None:
    clean = judge_pip_audit('{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}', "")
    assert clean == judge_npm_audit('{"auditReportVersion": 2, "vulnerabilities": {}}', "") == Verdict()
    assert clean.lines("a.lock") == ["a.lock: nothing known against it"]


def test_a_database_that_can_not_be_reached_is_one_line_and_no_finding() -> None:
    refused = "requests.exceptions.ProxyError: HTTPSConnectionPool: Max retries exceeded (Unable to connect to proxy)"
    index_without_database = f'{{"dependencies": [{PIP_SKIPPED}], "fixes": []}}'
    assert judge_pip_audit("", f"Traceback\n{refused}\n") == judge_pip_audit(index_without_database, "") == UNREACHABLE
    assert judge_npm_audit('{"message": "405 Method Not Allowed", "error": {"summary": ""}}', "") == UNREACHABLE
    assert len(UNREACHABLE.lines("a.lock")) == 1


def test_a_database_that_answers_for_some_packages_only_leaves_findings() -> None:
    some = f'{{"dependencies": [{{"name": "a", "version": "1", "vulns": []}}, {PIP_SKIPPED}], "fixes": []}}'
    assert judge_pip_audit(some, "").findings


def test_an_audit_that_could_not_be_made_for_a_reason_of_ours_fails() -> None:
    assert judge_pip_audit("", "ERROR:pip_audit._cli:requirement foo>=1 does not contain a hash\n").findings
    assert judge_npm_audit('{"error": {"code": "ENOLOCK", "summary": "no lockfile"}}', "").findings


def test_the_document_of_what_is_deployed_names_everything_and_who_wants_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = read_python_lock(ROOT / LAYER_LOCK)
    known = {each.metadata["Name"].lower().replace("_", "-"): licence_of(each) for each in distributions()}
    templates = "".join((ROOT / name).read_text("utf-8") for name in sbom.TEMPLATES)
    document = sbom.describe(project=project, locked=locked, licences=known, templates=templates)
    kinds = [component["type"] for component in document["components"]]
    assert kinds.count("library") == len(locked)
    assert (kinds.count("application"), kinds.count("container"), kinds.count("machine-learning-model")) == (1, 2, 3)
    refs = [component["bom-ref"] for component in document["components"]]
    assert len(set(refs)) == len(refs)
    graph = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert {ref for wanted in graph.values() for ref in wanted} == set(refs), "each component is wanted by another"
    direct = {requirement.split(">")[0] for requirement in project["dependencies"]}
    assert {ref.split("/")[-1].split("@")[0] for ref in graph["studiolm-gateway"] if ref.startswith("pkg:")} == direct
    assert document == sbom.describe(project=project, locked=locked, licences=known, templates=templates)
