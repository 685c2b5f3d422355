"""llama.cpp's own server on the small real model, in a process of its own; the first line on stdout is its port."""

from __future__ import annotations

from threading import Event
from urllib.parse import urlsplit

import xllamacpp
from gateway.catalogue import load_catalogue

from infra.local.models import choose_models

SLOTS = 2


def main() -> None:
    """Serves until killed."""
    path = choose_models([], load_catalogue().models, available_bytes=None)[0].file.path
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_parallel = SLOTS
    parameters.n_ctx = 2048 * SLOTS
    parameters.cpuparams.n_threads = 1
    parameters.n_threads_http = 8
    parameters.verbosity = 1
    parameters.ui = False
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    print(urlsplit(server.listening_address).port, flush=True)
    Event().wait()


if __name__ == "__main__":
    main()
