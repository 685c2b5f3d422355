"""`studiolm-admin models stage`: a model's weights from their hub into the owner's bucket."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from gateway.adapters.hub import HUB
from gateway.application.staging import CannotStage
from gateway.catalogue import load_catalogue
from gateway.cli.connection import connected
from gateway.domain.models import Model
from gateway.domain.weights import WeightsFile


def stage(
    context: typer.Context,
    model_id: Annotated[str, typer.Argument(metavar="MODEL", help="The model's id in the catalogue.")],
    *,
    bucket: Annotated[str, typer.Option(help="The bucket, in the region of the stack.")],
    create_bucket: Annotated[
        bool, typer.Option("--create-bucket", help="Make the bucket, closed to the public, where there is none.")
    ] = False,
    repository: Annotated[
        str | None, typer.Option(help="All files of another repository (owner/name), such as one with W4A16 for vLLM.")
    ] = None,
    hub: Annotated[str, typer.Option(envvar="HF_ENDPOINT", help="The hub's address.")] = HUB,
    token: Annotated[
        str | None, typer.Option("--hub-token", envvar="HF_TOKEN", help="The hub's token, for gated repositories.")
    ] = None,
) -> None:
    """Put a model's weights from their hub into a bucket, uncompressed, checked against the hub's checksums.

    They go through in a stream: nothing is kept on this machine. A stopped run is gone on with by running it again.
    """
    with connected(context, stack=False) as gateway:
        model = load_catalogue().models.get(model_id)
        if model is None:
            raise CannotStage(
                f"There is no model {model_id} in the catalogue: `studiolm-admin models list` lists them."
            )
        stage_weights = gateway.stage_weights(bucket=bucket, hub_url=hub, hub_token=token, progress=Progress())
        keys = stage_weights(
            repository=repository or _repository(model),
            names=() if repository else _names(model),
            prefix=model.id,
            create_bucket=create_bucket,
        )
    for key in keys:
        print(f"STAGED=s3://{bucket}/{key}")


def _repository(model: Model) -> str:
    if model.hub_repository is None:
        raise CannotStage(f"The catalogue names no repository for {model.id}: name one with --repository.")
    return model.hub_repository


def _names(model: Model) -> list[str]:
    return [name for name in (model.hub_file, model.hub_projector_file) if name is not None]


class Progress:
    """Tells on stderr how much of a file has come, at most every second and at its end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, file: WeightsFile, come_bytes: int) -> None:
        """See `staging.Progress`."""
        now = time.monotonic()
        if now >= self._next or come_bytes == file.size_bytes:
            self._next = now + 1.0
            share = come_bytes / file.size_bytes if file.size_bytes else 1.0
            print(
                f"{file.name}: {come_bytes / 1e6:.0f} of {file.size_bytes / 1e6:.0f} MB ({share:.0%})",
                file=sys.stderr,
                flush=True,
            )
