"""Holds a document to CycloneDX's own schema: `python -m infra.build.sbom_check build/sbom.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(arguments: Sequence[str]) -> int:
    """Prints how much the document names, or what is wrong with it and 1."""
    (path,) = arguments
    text = Path(path).read_text("utf-8")
    document = json.loads(text)
    error = JsonStrictValidator(SchemaVersion.from_version(document["specVersion"])).validate_str(text)
    if error is not None:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(f"{path}: CycloneDX {document['specVersion']}, {len(document['components'])} components\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
