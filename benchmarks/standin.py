"""The local stack's SageMaker in a process of its own, before an engine on loopback: `standin.py <url> <endpoint>`."""

from __future__ import annotations

import sys
from threading import Event
from urllib.parse import urlsplit

from infra.local.llama import LlamaEngine
from infra.local.standin import start_sagemaker_standin

if __name__ == "__main__":
    url, endpoint = sys.argv[1:]
    print(urlsplit(start_sagemaker_standin({endpoint: LlamaEngine(url)}).url).port, flush=True)
    Event().wait()
