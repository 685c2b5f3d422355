"""`python -m infra.local.pull <model>`: a catalogue model's GGUF from its hub, resumable and checksummed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.adapters.hub import HUB, HuggingFaceHub
from gateway.application.staging import CannotStage, Hub
from gateway.catalogue import load_catalogue
from gateway.cli.weights import Progress
from gateway.domain.models import Model
from gateway.domain.weights import WeightsFile

from infra.local.settings import ROOT

_READ_BYTES = 1024 * 1024


def pull_file(hub: Hub, repository: str, name: str, *, directory: Path) -> Path:
    """The file's path in `directory`, whole and checked. Raises CannotStage.

    A broken connection is taken up where it broke, and what a stopped run left is kept for the next.
    """
    path = directory / name
    file = hub.describe(repository, name)
    if path.exists() and _is_whole(path, file):
        print(f"{name} is there already", flush=True)
        return path
    directory.mkdir(parents=True, exist_ok=True)
    # Named by its checksum: a newer version on the hub never continues an older one.
    partial = directory / f"{name}.{file.digest[:16]}.partial"
    have = partial.stat().st_size if partial.exists() else 0
    missing = file.size_bytes - have
    if shutil.disk_usage(directory).free < missing:
        raise CannotStage(f"{directory} has no room for the {missing / 1e9:.1f} GB of {name} that are missing.")
    progress = Progress()
    with partial.open("ab") as target:
        for block in hub.blocks(file, start=have):
            target.write(block)
            progress(file, target.tell())
    if not _is_whole(partial, file):
        partial.unlink()
        raise CannotStage(
            f"What came for {name} does not have the checksum that the hub tells; it is deleted, try again."
        )
    partial.replace(path)
    return path


def _is_whole(path: Path, file: WeightsFile) -> bool:
    if path.stat().st_size != file.size_bytes:
        return False
    digest = file.new_hash()
    with path.open("rb") as content:
        while block := content.read(_READ_BYTES):
            digest.update(block)
    return bool(digest.hexdigest() == file.digest)


def pull_model(hub: Hub, model: Model, *, projector: bool, directory: Path) -> str:
    """The MODEL_PATHS entry of a model whose files are now in `directory`. Raises CannotStage."""
    if model.hub_repository is None or model.hub_file is None:
        raise CannotStage(f"{model.id} is not on a hub; it comes with requirements-model.lock.")
    if projector and model.hub_projector_file is None:
        raise CannotStage(f"{model.id} has no projector: it sees no images.")
    entry = f"{model.id}={pull_file(hub, model.hub_repository, model.hub_file, directory=directory)}"
    if projector and model.hub_projector_file is not None:
        entry += f"+{pull_file(hub, model.hub_repository, model.hub_projector_file, directory=directory)}"
    return entry


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """0 when the files are there, 1 with a sentence on stderr."""
    models = load_catalogue().models
    parser = argparse.ArgumentParser(prog="python -m infra.local.pull", description=__doc__)
    parser.add_argument("model", choices=[model.id for model in models.values() if model.hub_repository])
    parser.add_argument("--projector", action="store_true", help="also the file with which the model sees images")
    chosen = parser.parse_args(arguments)
    hub = HuggingFaceHub(base_url=environment.get("HF_ENDPOINT") or HUB, token=environment.get("HF_TOKEN") or None)
    try:
        entry = pull_model(hub, models[chosen.model], projector=chosen.projector, directory=ROOT / "models")
    except CannotStage as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"Serve it with: MODEL_PATHS={entry} make run")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
