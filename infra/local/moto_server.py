"""moto's server as the embedded AWS, with two of DynamoDB's properties that moto lacks.

* A conditional write is one step: moto checks, then writes, and another thread can come between.
* A transaction costs what it touches: moto copies the whole table, with its stream's history, for every transaction,
  so that after 600 writes a settlement took 1.2 s.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_whole_transaction = DynamoDBBackend.transact_write_items


class _QuietHandler(WSGIRequestHandler):
    # HTTP/1.1 keeps botocore's connections open; a line for every request would hold keys and all
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""


class _OneWriteAtATime:
    """Serialises DynamoDB's calls and nothing else: a queue's long poll must not hold up the table."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


def _transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    before = [_Before(backend, operation) for item in transact_items for operation in item.values()]
    try:
        _whole_transaction(backend, transact_items)
    except Exception:
        for item in reversed(before):
            item.restore()
        raise


class _Before:
    """One item as it was, and how long its table's stream was."""

    def __init__(self, backend: DynamoDBBackend, operation: dict[str, Any]) -> None:
        self._table: Table = backend.get_table(operation["TableName"])
        # moto asks the table for a copy to go back to; this is what goes back instead
        self._table.__deepcopy__ = lambda _memo: self._table  # type: ignore[attr-defined]
        attributes = operation.get("Key") or operation["Item"]
        self._key = backend.get_keys_value(self._table, attributes)
        self._item = copy.deepcopy(self._table.get_item(*self._key))
        self._events = len(self._table.stream_shard.items) if self._table.stream_shard else 0

    def restore(self) -> None:
        hash_key, range_key = self._key
        if self._item is None:
            self._table.items.get(hash_key, {}).pop(range_key, None)
        else:
            self._table.items[hash_key][range_key] = self._item
        if self._table.stream_shard:
            del self._table.stream_shard.items[self._events :]


@contextmanager
def run_moto(front: Callable[[Application], Application] = _OneWriteAtATime) -> Iterator[str]:
    """A moto on a free port of 127.0.0.1, behind a WSGI layer of its own; gives its URL."""
    DynamoDBBackend.transact_write_items = _transact  # type: ignore[method-assign, assignment]
    application = front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
