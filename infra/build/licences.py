"""Lists the licence of everything that is installed, and refuses those that are not on the list below.

`python -m infra.build.licences build/licences.md .venv package-lock.json …` writes Markdown; 1 where one is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from infra.build.locks import read_node_licences

ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT",
        "MIT-0", "PSF-2.0", "Public-Domain", "Unlicense", "Zlib",
        # weak copyleft, file by file: we change none of their files
        "MPL-2.0",
        # of tools that build and are not shipped
        "Artistic-1.0",
    }
)  # fmt: skip
_SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "artistic license": "Artistic-1.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "public domain": "Public-Domain",
    "the mit license (mit)": "MIT",
    "the unlicense (unlicense)": "Unlicense",
}
_UNNAMED = {"cookiecutter": "BSD-3-Clause"}
"""Packages whose metadata names no licence, with what their LICENSE file is."""
_TOKEN = re.compile(r"[()]|[^\s()]+")


def licence_of(distribution: Distribution) -> str:
    """The licence of an installed package as an SPDX expression where it can be known, else in its own words."""
    metadata = distribution.metadata
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or []
        if entry.startswith("License :: OSI Approved ::")
    ]
    field = "".join(metadata.get_all("License") or []).strip().partition("\n")[0]
    if is_allowed(field):
        return _spdx(field)
    # several classifiers are several licences to choose from (python-dateutil, sniffio)
    found = " OR ".join(_spdx(entry).replace(" ", "-") for entry in classifiers) or field
    return found or _UNNAMED.get(metadata["Name"], "")


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression, or one licence by another spelling, can be satisfied by licences of the list."""
    return _satisfied(_TOKEN.findall(_spdx(expression)))


def installed(environment: Path) -> dict[str, str]:
    """Name and version to licence, of every package of an environment."""
    folders = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    return {
        f"{distribution.metadata['Name']} {distribution.version}": licence_of(distribution)
        for distribution in distributions(path=folders)
    }


def render(sources: Mapping[str, Mapping[str, str]]) -> str:
    """Markdown with a table for each source."""
    lines = ["# Licences", ""]
    for source, licences in sources.items():
        lines += [f"## {source}", "", "| package | licence |", "| --- | --- |"]
        lines += [f"| {name} | {licence} |" for name, licence in sorted(licences.items(), key=_by_name)]
        lines.append("")
    return "\n".join(lines)


def refusals(sources: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A sentence for each package whose licence is not on the list."""
    return [
        f"{source}: {name} has the licence {licence or 'of no name'!r}, which {Path(__file__).name} does not allow."
        for source, licences in sources.items()
        for name, licence in sorted(licences.items(), key=_by_name)
        if not is_allowed(licence)
    ]


def main(arguments: Sequence[str]) -> int:
    """Writes the list into the first argument, and to the terminal how long it is and what is refused."""
    target, *names = arguments
    sources = {
        name: read_node_licences(Path(name)) if name.endswith(".json") else installed(Path(name)) for name in names
    }
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(render(sources), "utf-8")
    refused = refusals(sources)
    sys.stdout.write(f"{target}: {sum(map(len, sources.values()))} packages, {len(refused)} refused\n")
    sys.stderr.write("".join(f"{sentence}\n" for sentence in refused))
    return 1 if refused else 0


def _by_name(entry: tuple[str, str]) -> str:
    return entry[0].lower()


def _spdx(text: str) -> str:
    return _SPELLINGS.get(text.strip().lower(), text.strip())


def _satisfied(tokens: list[str]) -> bool:
    """Consumes an expression: alternatives of conjunctions of names and groups. What is none is not satisfied."""
    verdict = _all_satisfied(tokens)
    while tokens and tokens[0] == "OR":
        del tokens[0]
        verdict = _all_satisfied(tokens) or verdict
    return verdict and (not tokens or tokens[0] == ")")


def _all_satisfied(tokens: list[str]) -> bool:
    verdict = _one_satisfied(tokens)
    while tokens and tokens[0] == "AND":
        del tokens[0]
        verdict = _one_satisfied(tokens) and verdict
    return verdict


def _one_satisfied(tokens: list[str]) -> bool:
    if not tokens:
        return False
    first = tokens.pop(0)
    if first != "(":
        return first in ALLOWED
    verdict = _satisfied(tokens)
    return bool(tokens) and tokens.pop(0) == ")" and verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
