"""Calls to URLs that strangers choose reach the public internet, or nothing (real TLS on loopback)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from gateway.adapters.web.guarded import GuardedWeb
from gateway.adapters.web.resolving import resolve
from gateway.application.ports import Web
from gateway.domain.addresses import IPAddress, is_public
from gateway.domain.errors import OutboundFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.web_host import (
    LOOPBACK,
    NAME,
    Answer,
    Authority,
    WebHost,
    answer,
    book,
    make_authority,
    raw,
    redirect,
)

pytestmark = pytest.mark.anyio

PNG = frozenset({"image/png"})
IMAGE = answer(body=b"an image", content_type="image/png")
UNREACHABLE = "the host can't be reached over the public internet"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"), NAME, "cdn.example", "xn--bcher-kva.example")


@pytest.fixture
def host(authority: Authority) -> Iterator[WebHost]:
    host = WebHost(authority.server(), {"/": IMAGE})
    yield host
    host.stop()


@pytest.fixture
def web(authority: Authority, host: WebHost) -> GuardedWeb:
    return authority.web(host)


async def get(web: Web, url: str, *, max_bytes: int = 1000) -> bytes:
    return await web.get(url, media_types=PNG, max_bytes=max_bytes)


async def refusal_of(web: Web, url: str, *, max_bytes: int = 1000) -> str:
    with pytest.raises(OutboundFailed) as refused:
        await get(web, url, max_bytes=max_bytes)
    return str(refused.value)


async def test_a_host_is_asked_by_its_name_at_the_address_that_was_judged(web: GuardedWeb, host: WebHost) -> None:
    assert await get(web, host.url("/")) == b"an image"
    (received,) = host.received
    assert received.server_name == NAME
    assert received.headers["host"] == f"{NAME}:{host.port}"
    assert received.headers["accept-encoding"] == "identity"
    assert {"cookie", "authorization"}.isdisjoint(received.headers)


async def test_an_international_name_is_asked_by_its_ascii_form(web: GuardedWeb, host: WebHost) -> None:
    assert await get(web, host.url("/", name="Bücher.example")) == b"an image"
    (received,) = host.received
    assert received.server_name == "xn--bcher-kva.example"
    assert received.headers["host"] == f"xn--bcher-kva.example:{host.port}"


async def test_a_host_that_is_not_the_one_of_its_certificate_is_not_asked(web: GuardedWeb, host: WebHost) -> None:
    assert await refusal_of(web, host.url("/", name="other.example")) == UNREACHABLE
    assert host.received == []


async def test_an_authority_that_nobody_trusts_is_not_enough(host: WebHost) -> None:
    web = GuardedWeb(ports=frozenset({host.port}), timeout_s=5, allow=LOOPBACK.__eq__, resolve=book({}))
    assert await refusal_of(web, host.url("/")) == UNREACHABLE
    assert host.received == []


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "１２７.0.0.1",
        "127。0。0。1",
    ],
)
async def test_no_spelling_of_an_inner_address_is_called(authority: Authority, host: WebHost, name: str) -> None:
    web = authority.web(host, resolve=resolve, allow=is_public)
    await refusal_of(web, host.url("/", name=name))
    assert host.received == []


async def test_one_inner_address_among_public_ones_closes_the_host(authority: Authority, host: WebHost) -> None:
    web = authority.web(host, resolve=book({NAME: ["127.0.0.1", "10.0.0.1"]}))
    assert await refusal_of(web, host.url("/")) == UNREACHABLE
    assert host.received == []


async def test_unknown_inner_and_silent_hosts_are_told_alike(authority: Authority, host: WebHost) -> None:
    web = authority.web(host, resolve=book({"inner.example": ["10.0.0.1"], "nowhere.example": []}))
    told = {await refusal_of(web, host.url("/", name=name)) for name in ("inner.example", "nowhere.example")}
    host.stop()
    assert told | {await refusal_of(web, host.url("/"))} == {UNREACHABLE}


async def test_a_name_is_resolved_once_so_a_second_answer_of_the_dns_leads_nowhere(
    authority: Authority, host: WebHost
) -> None:
    answers: list[Sequence[IPAddress]] = [[LOOPBACK], [ip_address("10.0.0.1")]]
    asked: list[str] = []

    async def rebinding(name: str, _port: int) -> Sequence[IPAddress]:
        asked.append(name)
        return answers[len(asked) - 1]

    web = authority.web(host, resolve=rebinding)
    assert await get(web, host.url("/")) == b"an image"
    assert asked == [NAME]
    assert await refusal_of(web, host.url("/")) == UNREACHABLE
    assert len(host.received) == 1


async def test_a_redirect_is_judged_from_scratch_even_to_the_same_host(authority: Authority, host: WebHost) -> None:
    answers: list[Sequence[IPAddress]] = [[LOOPBACK], [ip_address("10.0.0.1")]]

    async def rebinding(_name: str, _port: int) -> Sequence[IPAddress]:
        return answers.pop(0)

    host.answers["/moved"] = redirect("/")
    assert await refusal_of(authority.web(host, resolve=rebinding), host.url("/moved")) == UNREACHABLE
    assert [received.path for received in host.received] == ["/moved"]


async def test_the_next_address_is_called_where_one_takes_no_connection(authority: Authority, host: WebHost) -> None:
    web = authority.web(host, resolve=book({NAME: ["::1", "127.0.0.1"]}), allow=lambda _: True)
    assert await get(web, host.url("/")) == b"an image"


async def test_three_redirects_are_followed_and_a_fourth_is_not(web: GuardedWeb, host: WebHost) -> None:
    host.answers |= {
        "/4": redirect("/3"),
        "/3": redirect(host.url("/2", name="cdn.example")),
        "/2": redirect("1"),
        "/1": redirect("/"),
    }
    assert await get(web, host.url("/3")) == b"an image"
    assert [received.server_name for received in host.received] == [NAME, "cdn.example", "cdn.example", "cdn.example"]
    assert "redirects more than 3 times" in await refusal_of(web, host.url("/4"))


@pytest.mark.parametrize(
    "location",
    [
        "http://images.example/",
        "https://images.example/",
        "https://user:word@images.example:{port}/",
        "https://169.254.169.254:{port}/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://images.example:{port}/",
        "//[/",
        "https://inner.example:{port}/",
    ],
)
async def test_a_redirect_leads_nowhere_that_could_not_be_asked_for(
    authority: Authority, host: WebHost, location: str
) -> None:
    web = authority.web(host, resolve=book({"inner.example": ["10.0.0.1"], "169.254.169.254": ["169.254.169.254"]}))
    host.answers["/moved"] = redirect(location.format(port=host.port))
    await refusal_of(web, host.url("/moved"))
    assert [received.path for received in host.received] == ["/moved"]


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example:{port}/",
        "ftp://images.example:{port}/",
        "https://images.example/",
        "https://images.example:22/",
        "https://user@images.example:{port}/",
        "https://user:word@images.example:{port}/",
        "https://:{port}/",
        "https://images.example:99999999/",
        "https://[::1/",
        "//images.example:{port}/",
        "images.example",
        "",
        "https://images.example:{port}/\r\nHost: inner",
    ],
)
async def test_what_is_no_plain_https_url_calls_nobody(web: GuardedWeb, host: WebHost, url: str) -> None:
    await refusal_of(web, url.format(port=host.port))
    assert host.received == []


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
async def test_no_other_scheme_is_spoken(web: GuardedWeb, host: WebHost, scheme: str) -> None:
    told = await refusal_of(web, f"{scheme}://{NAME}:{host.port}/")
    assert told == f"only https on port {host.port} is called, without credentials in the URL"


BODY = b"x" * 1001
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"


def head(**headers: str) -> bytes:
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(answer(404), "status 404", id="not found"),
        pytest.param(answer(206, BODY[:5], content_type="image/png"), "status 206", id="a part"),
        pytest.param(answer(body=b"<html>", content_type="text/html"), "something else", id="another type"),
        pytest.param(answer(body=b"png"), "something else", id="no type"),
        pytest.param(
            raw(head(content_type="image/png", content_length="1001")),
            "more than 1000 bytes",
            id="told to be too large",
        ),
        pytest.param(raw(CHUNKED + b"3e9\r\n" + BODY + b"\r\n0\r\n\r\n"), "more than 1000 bytes", id="large in chunks"),
        pytest.param(raw(head(content_type="image/png") + BODY), "more than 1000 bytes", id="large without a length"),
        pytest.param(raw(head(content_type="image/png", content_length="9") + b"short"), "broke off", id="cut"),
        pytest.param(raw(head(content_type="image/png", content_length="nine") + b"x"), "broke off", id="no number"),
        pytest.param(raw(CHUNKED + b"5\r\nab"), "broke off", id="cut in a chunk"),
        pytest.param(raw(b"\x00\x01 no HTTP\r\n\r\n"), "broke off", id="no http"),
        pytest.param(raw(b""), "broke off", id="nothing"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000), "broke off", id="endless headers"),
        pytest.param(
            answer(body=gzip.compress(bytes(10_000_000))[:900], content_type="image/png", content_encoding="gzip"),
            "compressed",
            id="gzip bomb",
        ),
    ],
)
async def test_an_answer_that_is_not_as_asked_for_is_refused(
    web: GuardedWeb, host: WebHost, said: Answer, told: str
) -> None:
    host.answers["/"] = said
    assert told in await refusal_of(web, host.url("/"))


async def test_what_comes_after_the_told_length_is_not_read(web: GuardedWeb, host: WebHost) -> None:
    host.answers["/"] = raw(head(content_type="image/png", content_length="5") + b"imageHTTP/1.1 200 OK\r\n\r\n")
    assert await get(web, host.url("/")) == b"image"


async def test_a_body_of_exactly_the_limit_is_taken(web: GuardedWeb, host: WebHost) -> None:
    host.answers["/"] = answer(body=BODY[:1000], content_type="IMAGE/PNG; charset=binary")
    assert await get(web, host.url("/")) == BODY[:1000]


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", head(content_type="image/png")], ids=["all", "head", "body"]
)
async def test_a_host_that_stalls_is_left_in_time(authority: Authority, host: WebHost, said: bytes) -> None:
    def stall(connection: socket.socket) -> None:
        connection.sendall(said)
        host.ended.wait(10)

    host.answers["/"] = stall
    assert "took longer" in await refusal_of(authority.web(host, timeout_s=0.3), host.url("/"))


async def test_a_host_that_drips_is_left_in_time(authority: Authority, host: WebHost) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head(content_type="image/png"))
        while not host.ended.wait(0.02):
            connection.sendall(b"x")

    host.answers["/"] = drip
    assert "took longer" in await refusal_of(authority.web(host, timeout_s=0.3), host.url("/"))


async def test_a_host_that_redirects_slowly_has_the_time_of_one_call(authority: Authority, host: WebHost) -> None:
    def slow(connection: socket.socket) -> None:
        host.ended.wait(0.2)
        redirect("/")(connection)

    host.answers["/"] = slow
    assert "took longer" in await refusal_of(authority.web(host, timeout_s=0.5), host.url("/"))


async def test_proxies_of_the_environment_are_not_used(
    web: GuardedWeb, host: WebHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert await get(web, host.url("/")) == b"an image"


async def test_a_post_arrives_as_it_was_given_and_its_answer_is_not_read(web: GuardedWeb, host: WebHost) -> None:
    host.answers["/hook"] = raw(b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000000000\r\n\r\nx")
    assert await web.post(host.url("/hook"), headers={"webhook-id": "job_1"}, body=b"{}") == 202
    (received,) = host.received
    assert (received.method, received.body, received.headers["webhook-id"]) == ("POST", b"{}", "job_1")


async def test_a_post_follows_no_redirect(web: GuardedWeb, host: WebHost) -> None:
    host.answers["/hook"] = redirect("/")
    assert await web.post(host.url("/hook"), headers={}, body=b"{}") == 302
    assert len(host.received) == 1


async def test_a_post_goes_to_no_inner_address(authority: Authority, host: WebHost) -> None:
    web = authority.web(host, resolve=book({NAME: ["192.168.1.1"]}))
    with pytest.raises(OutboundFailed, match="can't be reached"):
        await web.post(host.url("/"), headers={}, body=b"{}")


async def test_silent_name_servers_hold_no_thread_of_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def silent(*_: Any, **__: Any) -> Any:
        answered.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    waiting = [asyncio.create_task(resolve(f"{number}.example", 443)) for number in range(40)]
    try:
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        answered.set()
    assert all(isinstance(end, OSError) for end in await asyncio.gather(*waiting, return_exceptions=True))


HOSTS = st.text(st.sampled_from("aZ09.-_~%:@[]/\\\x00 ßあ。１"), max_size=70) | st.text(max_size=300)


@given(host=HOSTS, tail=st.text(max_size=30))
@settings(max_examples=60, deadline=None)
async def test_no_url_raises_anything_but_a_refusal(authority: Authority, host: str, tail: str) -> None:
    # nothing listens on port 1, so whatever is still a host after all judging takes no connection
    web = GuardedWeb(
        ports=frozenset({1, 443}), timeout_s=2, allow=LOOPBACK.__eq__, resolve=book({}), tls=authority.client()
    )
    for url in (f"https://{host}:1/{tail}", f"https://{host}:1{tail}", host):
        with pytest.raises(OutboundFailed):
            await get(web, url)


@pytest.mark.parametrize("name", [".example", "a" * 64 + ".example", "a..example", "\x00"])
async def test_a_name_that_can_be_none_has_no_addresses(name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        await resolve(name, 443)


@pytest.mark.parametrize("name", [".example", "a" * 64 + ".example", "a..example", "-", "ex_ample", "images.example."])
async def test_a_name_that_tls_can_not_carry_or_vouch_for_is_not_asked(
    web: GuardedWeb, host: WebHost, name: str
) -> None:
    await refusal_of(web, host.url("/", name=name))
    assert host.received == []
