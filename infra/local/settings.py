"""What the person who starts the stack may choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.failure import CannotStart

ROOT = Path(__file__).resolve().parents[2]
SEARCH_VARIABLES = ("SEARCH_BACKEND", "SEARCH_URL", "SEARCH_BUDGET_S", "SEARCH_BUDGET_USD")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file to serve under a catalogue id, with the projector that lets it see images."""

    id: str
    path: Path
    projector: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`PORT` (0 is any free one), `API_KEY`, `MODEL_PATHS`; `root` holds template.yaml and functions/.

    `search` are the variables that choose who searches the web; they win over what template.yaml sets.
    """

    port: int = 8000
    api_key: str | None = None
    model_paths: str = ""
    search: Mapping[str, str] = field(default_factory=dict)
    root: Path = ROOT


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in these environment variables. Raises CannotStart."""
    port = environment.get("PORT") or "8000"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise CannotStart(f"PORT must be a number from 0 to 65535, not {port!r}.")
    model_paths = environment.get("MODEL_PATHS", "")
    parse_model_paths(model_paths)
    search = {name: value for name in SEARCH_VARIABLES if (value := environment.get(name))}
    return Settings(
        port=int(port),
        api_key=environment.get("API_KEY") or None,
        model_paths=model_paths,
        search={"SEARCH_BACKEND": "ddgs", **search},
    )


def parse_model_paths(text: str) -> list[ModelFile]:
    """The files in `id=path,id2=path2+projector`. Raises CannotStart."""
    files = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        id_, equals, paths = entry.partition("=")
        path, plus, projector = paths.partition("+")
        if not id_ or not equals or not path or (plus and not projector):
            raise CannotStart(
                f"MODEL_PATHS must read 'id=path' or 'id=path+projector', comma-separated, not {entry!r}."
            )
        files.append(
            ModelFile(id_, Path(path).expanduser().resolve(), Path(projector).expanduser().resolve() if plus else None)
        )
    return files
