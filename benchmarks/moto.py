"""moto's DynamoDB in a process of its own, where DynamoDB Local has not been fetched."""

from __future__ import annotations

from threading import Event
from urllib.parse import urlsplit

from infra.local.moto_server import run_moto

if __name__ == "__main__":
    with run_moto() as url:
        print(urlsplit(url).port, flush=True)
        Event().wait()
