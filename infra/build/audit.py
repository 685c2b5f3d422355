"""Asks the public databases for known vulnerabilities of every lock file, Python's and Node's.

`python -m infra.build.audit path/to/pip-audit`; 1 where something is known against a locked package. Where a database
can't be reached, one line says so and nothing fails: what could not be asked is no finding.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.build.locks import node_locks, python_locks

ROOT = Path(__file__).resolve().parents[2]
_UNREACHABLE = "the database of vulnerabilities can't be reached from here"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one lock file: findings, or why there was no audit."""

    findings: tuple[str, ...] = ()
    not_audited: str | None = None

    def lines(self, lock: str) -> list[str]:
        """As it is printed."""
        if self.not_audited is not None:
            return [f"{lock}: not audited, {self.not_audited}"]
        return [f"{lock}: {finding}" for finding in self.findings] or [f"{lock}: nothing known against it"]


def judge_pip_audit(output: str, complaint: str) -> Verdict:
    """The verdict of `pip-audit --format json`, from what it printed and what it said on standard error.

    An index without the database answers for no package at all, and pip-audit calls that a success; one that answers
    for some only leaves holes, which are findings.
    """
    report = _parse(output)
    if report is None:
        last = complaint.strip().rpartition("\n")[2]
        if re.search("connect|timed out", last, re.IGNORECASE):
            return Verdict(not_audited=_UNREACHABLE)
        return Verdict((f"pip-audit failed: {last}",))
    packages = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return Verdict(not_audited=_UNREACHABLE)
    known = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {_versions(vulnerability)}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    return Verdict((*known, *(f"{package['name']}: {package['skip_reason']}" for package in skipped)))


def judge_npm_audit(output: str, complaint: str) -> Verdict:
    """The verdict of `npm audit --json`. It gives its own failures a code, and a registry's none."""
    report = _parse(output)
    if report is None or "code" in report.get("error", {}):
        return Verdict((f"npm audit failed: {(output if report else complaint).strip()}",))
    if "error" in report:
        return Verdict(not_audited=_UNREACHABLE)
    return Verdict(
        tuple(
            f"{name}: {entry['severity']}, {'; '.join(_cause(via) for via in entry['via'])}"
            for name, entry in sorted(report["vulnerabilities"].items())
        )
    )


def audit_python(pip_audit: str, lock: Path) -> Verdict:
    """Asks for one lock file of pip's; the lock is complete, so nothing is resolved or installed."""
    command = [pip_audit, "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    return judge_pip_audit(*_told([*command, "--requirement", str(lock)], folder=ROOT))


def audit_node(lock: Path) -> Verdict:
    """Asks for one lock file of npm's."""
    if shutil.which("npm") is None:
        return Verdict(not_audited="there is no npm on PATH")
    return judge_npm_audit(*_told(["npm", "audit", "--package-lock-only", "--json"], folder=lock.parent))


def main(arguments: Sequence[str]) -> int:
    """Prints a line for each lock file, or for each finding."""
    (pip_audit,) = arguments
    found = _audit_all(python_locks(ROOT), lambda lock: audit_python(pip_audit, lock))
    found += _audit_all(node_locks(ROOT), audit_node)
    return int(found > 0)


def _audit_all(locks: Sequence[Path], audit: Callable[[Path], Verdict]) -> int:
    """How many findings there are. Where the database can't be reached for one lock, it is not asked for the others."""
    found, verdict = 0, Verdict()
    for lock in sorted(locks, key=lambda lock: lock.stat().st_size):
        if verdict.not_audited is None:
            verdict = audit(lock)
        found += len(verdict.findings)
        sys.stdout.write("".join(f"{line}\n" for line in verdict.lines(str(lock.relative_to(ROOT)))))
        sys.stdout.flush()
    return found


def _told(command: Sequence[str], *, folder: Path) -> tuple[str, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout, done.stderr


def _parse(output: str) -> dict[str, Any] | None:
    """What a tool printed, None where it could not do its work and printed no JSON."""
    try:
        parsed = json.loads(output)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _versions(vulnerability: Mapping[str, Any]) -> str:
    return ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"


def _cause(via: Mapping[str, Any] | str) -> str:
    return f"by way of {via}" if isinstance(via, str) else f"{via['title']} ({via['range']})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
