"""The child that is SageMaker: a llama.cpp server for each model, and the stand-in in front of them."""

from __future__ import annotations

import os
import platform
from threading import Event
from typing import Any

from infra.local.credentials import STACK_NAME
from infra.local.failure import CannotStart
from infra.local.models import ServedModel, available_memory, choose_models
from infra.local.parent import Parent
from infra.local.settings import parse_model_paths

_ERRORS_ONLY = 1
# One more than a connection for each slot and each cancelled one that llama.cpp has not yet noticed.
_HTTP_THREADS = 16
_PROMPT_CACHE_MIB = 256


def main(parent: Parent) -> None:
    """Serve until the supervisor's end."""
    order = parent.receive()
    parent.at_its_end()
    parent.die_with_it()
    from gateway.catalogue import load_catalogue  # noqa: PLC0415

    from infra.local.llama import LlamaEngine  # noqa: PLC0415
    from infra.local.standin import start_sagemaker_standin  # noqa: PLC0415

    models = choose_models(
        parse_model_paths(order["model_paths"]), load_catalogue().models, available_bytes=available_memory()
    )
    servers, engines = [], {}
    for served in models:
        parent.report("loading", model=served.model.id, path=str(served.file.path))
        server = _serve(served)
        servers.append(server)
        engines[f"{STACK_NAME}-{served.model.resource_slug}"] = LlamaEngine(server.listening_address)
    stand_in = start_sagemaker_standin(engines)
    parent.report(
        "ready",
        endpoints={
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": stand_in.url,
            "AWS_ENDPOINT_URL_SAGEMAKER": stand_in.url,
        },
        models=[served.model.id for served in models],
    )
    Event().wait()


def _serve(served: ServedModel) -> Any:
    """A loaded model on a port of loopback. Raises CannotStart; llama.cpp may also end the process."""
    try:
        import xllamacpp  # noqa: PLC0415
    except ImportError:
        raise CannotStart(
            f"The engine (xllamacpp) is not installed; it has no build for {platform.system()} {platform.machine()} "
            "with this Python if its installation failed."
        ) from None
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(served.file.path)
    if served.file.projector is not None:
        parameters.mmproj.path = str(served.file.projector)
    # Each sequence has the whole context to itself. In a pool that all share (kv_unified) and that is smaller, four
    # long requests at once all fail with "Context size has been exceeded" (measured).
    parameters.n_parallel = served.slots
    parameters.n_ctx = served.slots * served.model.context_tokens
    parameters.kv_unified = False
    # Two threads on two busy cores are slower than one: 45 instead of 97 prompt tokens a second (measured).
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
    parameters.n_threads_http = _HTTP_THREADS
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    # Whether it fits was reckoned before; llama.cpp's own trial costs 0.2 s.
    parameters.fit_params = False
    parameters.verbosity = _ERRORS_ONLY
    parameters.ui = False
    parameters.port = 0
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError:
        raise CannotStart(
            f"The model file {served.file.path} cannot be loaded: llama.cpp finds it incomplete or does not know its "
            "architecture."
        ) from None


if __name__ == "__main__":
    Parent().run(main)
