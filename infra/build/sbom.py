"""What is deployed, as a CycloneDX document: the layer's packages, the Web Adapter, the engines' containers, weights.

`python -m infra.build.sbom .venv` writes it to standard output. The same tree gives the same document.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from gateway.catalogue import load_catalogue

from infra.build.licences import licence_of
from infra.build.locks import Locked, read_python_lock

ROOT = Path(__file__).resolve().parents[2]
LAYER_LOCK = "layers/dependencies/requirements.lock"
TEMPLATES = ("template.yaml", "infra/endpoints.yaml")
_IMAGE = re.compile(r'"((?:llama-cpp|vllm)):(server-[\w.-]+)"')
_ADAPTER = re.compile(r":lambda:.*:layer:\$\{Name\}:(\d+)")

Component = dict[str, Any]


def describe(
    *, project: Mapping[str, Any], locked: Sequence[Locked], licences: Mapping[str, str], templates: str
) -> Any:
    """The document. `templates` are their texts; `licences` are those of the packages by normalised name.

    Raises KeyError for a package without one.
    """
    root: Component = {
        "type": "application",
        "bom-ref": project["name"],
        "name": project["name"],
        "version": project["version"],
        "description": project["description"],
        "licenses": [{"expression": project["license"]}],
    }
    packages = [_package(entry, licences[_normalised(entry.name)]) for entry in locked]
    parts = [*_adapter(templates), *_containers(templates), *_weights()]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": [*packages, *parts],
        "dependencies": _graph(str(project["name"]), locked, [str(part["bom-ref"]) for part in parts]),
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, content)}"}


def main(arguments: Sequence[str]) -> int:
    """Writes the document of this tree; licences are read from the environment that is named."""
    (environment,) = arguments
    folders = [str(folder) for folder in Path(environment).glob("lib/python*/site-packages")]
    licences = {_normalised(each.metadata["Name"]): licence_of(each) for each in distributions(path=folders)}
    document = describe(
        project=tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"],
        locked=read_python_lock(ROOT / LAYER_LOCK),
        licences=licences,
        templates="".join((ROOT / name).read_text("utf-8") for name in TEMPLATES),
    )
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def _package(entry: Locked, licence: str) -> Component:
    return {
        "type": "library",
        "bom-ref": _ref(entry),
        "name": entry.name,
        "version": entry.version,
        "purl": _ref(entry),
        "licenses": [{"expression": licence}],
    }


def _adapter(templates: str) -> list[Component]:
    return [
        {
            "type": "application",
            "bom-ref": "lambda-web-adapter",
            "name": "LambdaAdapterLayer",
            "version": version,
            "description": "AWS Lambda Web Adapter, a layer of AWS's",
            "licenses": [{"expression": "Apache-2.0"}],
        }
        for version in _ADAPTER.findall(templates)
    ]


def _containers(templates: str) -> list[Component]:
    return [
        {"type": "container", "bom-ref": f"container:{name}", "name": name, "version": tag, "publisher": "AWS"}
        for name, tag in _IMAGE.findall(templates)
    ]


def _weights() -> list[Component]:
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{model.id}",
            "name": model.hub_repository,
            "description": f"{model.hub_file}, brought by whoever deploys and under the terms of its hub",
        }
        for model in load_catalogue().models.values()
        if model.hub_repository
    ]


def _graph(project: str, locked: Sequence[Locked], parts: Sequence[str]) -> list[dict[str, Any]]:
    wants: dict[str, list[str]] = {project: [*parts]} | {_ref(entry): [] for entry in locked}
    refs = {_normalised(entry.name): _ref(entry) for entry in locked} | {_normalised(project): project}
    for entry in locked:
        for wanting in entry.wanted_by:
            wants[refs[_normalised(wanting)]].append(_ref(entry))
    return [{"ref": ref, "dependsOn": sorted(set(wanted))} for ref, wanted in wants.items()]


def _ref(entry: Locked) -> str:
    return f"pkg:pypi/{_normalised(entry.name)}@{entry.version}"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
