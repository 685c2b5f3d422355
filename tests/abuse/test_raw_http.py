"""Requests that no client library sends: each is answered in the error shape, none with a 500, in bounded memory."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.http_client import Connection, Response
from tests.support.stack import MODEL, OpenedAccount

CHAT = "/v1/chat/completions"
GOOD = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}).encode()
BODY_LIMIT = 5_000_000
SPARE_MB = 40
"""What a burst of odd requests may need at once. A buffer of all that is sent would be past it."""


@pytest.fixture(autouse=True)
def unfailing(gateway: GatewayProcess) -> Iterator[None]:
    """Nothing that a test of this module does may reach the log as a failure."""
    yield
    log = gateway.log.read_text("utf-8")
    assert "Traceback" not in log
    assert '"level":"ERROR"' not in log


def asked(gateway: GatewayProcess, data: bytes) -> Response:
    """The answer to these bytes on a connection of their own; the server may stop reading before their end."""
    with Connection(gateway.port) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send_raw(data)
        return connection.read_response()


def head(account: OpenedAccount, method: str, path: str, *lines: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: x", *(f"{n}: {v}" for n, v in account.authorization.items()), *lines)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def posted(account: OpenedAccount, body: bytes, *lines: str, path: str = CHAT) -> bytes:
    return head(account, "POST", path, f"Content-Length: {len(body)}", *lines) + body


def assert_refused(response: Response, *statuses: int) -> None:
    assert response.status in statuses, response
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert response.error.keys() - {"reason"} == {"message", "type", "code", "param"}
    assert response.error["code"] == response.status
    assert len(response.error["message"]) < 1000


LONG, WIDE = "x" * 3000, "%F0%9F%92%A9" * 200
PATHS = [
    "/v1/jobs/{}", "/v1/files/{}", "/v1/files/{}/content", "/v1/batches/{}", "/v1/keys/{}", "/v1/models/{}",
]  # fmt: skip
IDS = [LONG, WIDE, "%00", "%ff%fe", "%ed%a0%80", "%2e%2e", "..%2f..%2fetc", "*", "{id}", "batch_1-1", "'", "%0d%0aX:1"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("id_", IDS)
def test_an_id_that_cannot_be_one_names_nothing(
    gateway: GatewayProcess, account: OpenedAccount, path: str, id_: str
) -> None:
    assert_refused(asked(gateway, head(account, "GET", path.format(id_))), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"/v1/jobs/{LONG}"), ("POST", f"/v1/jobs/{LONG}"), ("POST", f"/v1/batches/{LONG}/cancel"),
        ("POST", f"/v1/keys/{LONG}/disable"), ("DELETE", f"/v1/files/{WIDE}"),
        ("GET", "//v1/models"), ("GET", "/v1//models"), ("GET", "/v1/models/"), ("GET", "/v1/../v1/models"),
        ("GET", "/v1/keys;x=1"), ("GET", "/docs/../v1/keys"), ("GET", "/events"), ("POST", "/events"), ("GET", "*"),
        ("GET", "/" + "a/" * 4000), ("TRACE", "/v1/models"), ("PATCH", "/v1/keys"), ("PUT", CHAT), ("GET", CHAT),
        ("GET", "/v1/files?limit=" + "9" * 5000), ("GET", "/v1/files?limit=%D9%A3"),
        ("GET", "/v1/files?limit=1&limit="),
    ],
)  # fmt: skip
def test_a_method_or_path_trick_is_refused(
    gateway: GatewayProcess, account: OpenedAccount, method: str, path: str
) -> None:
    assert_refused(asked(gateway, head(account, method, path, "Content-Length: 0")), 400, 404, 405)


@pytest.mark.parametrize(
    "path", [f"/v1/files?after={LONG}", f"/v1/batches?after={WIDE}", "/v1/files?after=%00", "/v1/usage?" + "%" * 5000]
)
def test_a_query_that_means_nothing_finds_nothing(gateway: GatewayProcess, account: OpenedAccount, path: str) -> None:
    response = asked(gateway, head(account, "GET", path))
    assert response.status == 200
    assert response.json().get("data", []) == []


@pytest.mark.parametrize(
    ("body", "lines", "status"),
    [
        (b'{"model":"' + b"x" * 25_000_000 + b'"}', [], 413),
        (gzip.compress(b"0" * 50_000_000), ["Content-Encoding: gzip"], 400),
        (GOOD, ["Content-Encoding: br"], 400),
        (b"[" * (BODY_LIMIT - 1), [], 400),
        (b'{"a":' * (BODY_LIMIT // 5), [], 400),
        (b'{"model":"m",' * (BODY_LIMIT // 13), [], 400),
        (b"9" * BODY_LIMIT, [], 400),
        (b'"' + b"\\u0041" * (BODY_LIMIT // 6 - 1) + b'"', [], 400),
        (b"\x00" * BODY_LIMIT, [], 400),
    ],
    ids=["25 MB", "bomb", "brotli", "brackets", "objects", "twice", "digits", "escapes", "zeros"],
)
def test_a_body_past_the_bounds_is_refused_in_bounded_memory(
    gateway: GatewayProcess, account: OpenedAccount, body: bytes, lines: list[str], status: int
) -> None:
    assert asked(gateway, posted(account, GOOD)).status == 200
    before = gateway.memory_mb("VmHWM")
    assert_refused(asked(gateway, posted(account, body, *lines)), status)
    assert gateway.memory_mb("VmHWM") < before + SPARE_MB


def test_a_chunked_body_without_end_is_refused_in_bounded_memory(
    gateway: GatewayProcess, account: OpenedAccount
) -> None:
    before = gateway.memory_mb("VmHWM")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    assert_refused(asked(gateway, head(account, "POST", CHAT, "Transfer-Encoding: chunked") + chunk * 25), 413)
    assert gateway.memory_mb("VmHWM") < before + SPARE_MB


@pytest.mark.parametrize(
    "lines",
    [["X-Long: " + "a" * 50_000_000], [f"X-{n}: {n * 1000}" for n in range(200_000)], ["Cookie: " + "a=b; " * 4000]],
    ids=["long", "many", "cookies"],
)
def test_a_flood_of_headers_is_refused_in_bounded_memory(
    gateway: GatewayProcess, account: OpenedAccount, lines: list[str]
) -> None:
    before = gateway.memory_mb("VmHWM")
    with suppress(ConnectionResetError):  # what was sent and not read resets the connection before its answer is read
        assert_refused(asked(gateway, head(account, "GET", "/v1/models", *lines)), 431)
    assert gateway.memory_mb("VmHWM") < before + SPARE_MB
    assert asked(gateway, posted(account, GOOD)).status == 200


@pytest.mark.parametrize("values", [b"[{},", b"[[],", b'["a",', b"[1,"])
def test_a_body_of_millions_of_values_needs_a_bounded_multiple_of_itself(
    gateway: GatewayProcess, account: OpenedAccount, values: bytes
) -> None:
    times = (BODY_LIMIT - 1000) // (len(values) - 1) - 1
    body = GOOD[:-1] + b',"x":[' + values[1:] * times + values[1:-1] + b"]}"
    before = gateway.memory_mb()
    assert asked(gateway, posted(account, body)).status == 200
    assert gateway.memory_mb("VmHWM") < before + 60 * BODY_LIMIT / 1e6
    assert gateway.memory_mb() < before + 30 * BODY_LIMIT / 1e6


@pytest.mark.parametrize("begun", ["", "POST /v1/chat/comple", "head", "half a body"])
def test_requests_that_never_end_keep_nobody_else_waiting(
    gateway: GatewayProcess, account: OpenedAccount, begun: str
) -> None:
    data = {"head": posted(account, GOOD)[:60], "half a body": posted(account, GOOD)[:-20]}.get(begun, begun.encode())
    before = gateway.memory_mb()
    with ExitStack() as slow:
        for _ in range(200):
            slow.enter_context(Connection(gateway.port)).send_raw(data)
        for _ in range(5):
            assert asked(gateway, posted(account, GOOD)).status == 200
        assert gateway.memory_mb() < before + SPARE_MB


def test_requests_sent_at_once_on_one_connection_are_answered_in_turn(
    gateway: GatewayProcess, account: OpenedAccount
) -> None:
    with Connection(gateway.port) as connection:
        connection.send_raw((posted(account, GOOD) + posted(account, b"{")) * 10)
        assert [connection.read_response().status for _ in range(20)] == [200, 400] * 10


def form(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(b"--B\r\n" + told.encode("latin-1") + b"\r\n\r\n" + data + b"\r\n" for told, data in parts)
        + b"--B--\r\n"
    )


NAMED = 'Content-Disposition: form-data; name="{}"'
PURPOSE = (NAMED.format("purpose"), b"batch")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", form(PURPOSE)),
        ("; boundary=", form(PURPOSE)),
        ("; boundary=\xff", form(PURPOSE)),
        ("; boundary=" + "B" * 3000, form(PURPOSE)),
        ("; boundary=B", b""),
        ("; boundary=B", form(PURPOSE)[:30]),
        ("; boundary=B", form(PURPOSE)),
        ("; boundary=B", form(("", b"x"))),
        ("; boundary=B", form((NAMED.format("purpose"), b"\xff"), (NAMED.format("file") + "; filename=a", b"x"))),
        ("; boundary=B", form(PURPOSE, (NAMED.format("file") + "; filename=" + "n" * 9000, b"x"))),
        ("; boundary=B", form(PURPOSE, (NAMED.format("file") + "\r\nX: " + "a" * 3_000_000, b"x"))),
        ("; boundary=B", form(*((NAMED.format(n), b"x") for n in range(1000)))),
    ],
)
def test_a_form_that_is_none_is_refused(
    gateway: GatewayProcess, account: OpenedAccount, kind: str, body: bytes
) -> None:
    data = posted(account, body, f"Content-Type: multipart/form-data{kind}", path="/v1/files")
    assert_refused(asked(gateway, data), 400, 413)


def test_a_head_or_an_expectation_gets_what_http_says(gateway: GatewayProcess, account: OpenedAccount) -> None:
    with Connection(gateway.port) as connection:
        connection.send_raw(head(account, "HEAD", CHAT))
        status, headers = connection.read_head()
    assert (status, headers["allow"]) == (405, "POST")
    assert asked(gateway, posted(account, GOOD, "Expect: tea")).status == 200
    assert asked(gateway, head(account, "GET", "/v1/models", "Connection: upgrade", "Upgrade: websocket")).status == 200


@pytest.mark.parametrize("key", ["sk-\xff\xfe", "sk-" + "a" * 5000, "", " ", "sk-' OR 1=1", "${jndi:ldap://x}"])
def test_a_key_that_is_none_is_told_the_one_thing(gateway: GatewayProcess, key: str) -> None:
    data = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode("latin-1")
    answer: dict[str, Any] = asked(gateway, data).error
    assert answer["message"] == "The API key is missing or not valid. Send it as 'Authorization: Bearer sk-...'."
