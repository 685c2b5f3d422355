"""The real local model behind its own HTTP server, small and quick to load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.local_stack import model_file


@contextmanager
def serve_model(
    *, context_tokens: int = 4096, sequences: int = 2, template: str = "", projector: Path | None = None
) -> Iterator[str]:
    """The address of a llama.cpp server with the local model; each sequence has the whole context to itself.

    `template` is a chat template in place of the model's own; with a `projector` it takes images.
    """
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.n_ctx, params.n_parallel, params.port = context_tokens * sequences, sequences, 0
    params.chat_template = template
    if projector is not None:
        params.mmproj.path = str(projector)
    params.cpuparams.n_threads = 1  # tests run beside each other, and idle threads spin
    params.verbosity = 1
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server
