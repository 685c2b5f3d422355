"""Images over HTTP: embedded and linked ones reach the engine as data URLs, bad ones are a 400 with their place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gateway.config import Settings

from tests.http.asking import Asker
from tests.support.accounts import new_key
from tests.support.engine_pieces import whole
from tests.support.image_files import data_url, jpeg, png, vp8, webp
from tests.support.loopback_gateway import LoopbackGateway
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, SECOND_MODEL, OpenedAccount, Stack, borrowed_environment
from tests.support.web_host import NAME, Authority, WebHost, answer, book, make_authority

UNREACHABLE = "could not be fetched: the host can't be reached over the public internet."
AT = "messages[0].content[1].image_url.url"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def host(authority: Authority) -> Iterator[WebHost]:
    """An album on the internet, which for these tests is on loopback."""
    host = WebHost(authority.server(), {"/a.png": answer(body=png(), content_type="image/png")})
    yield host
    host.stop()


@pytest.fixture(scope="module")
def port(stack: Stack, authority: Authority, host: WebHost) -> int:
    """A chat application whose internet has `host`, and `inner.example` at a private address."""
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=4))
    web = authority.web(host, resolve=book({"inner.example": ["10.0.0.1"]}))
    gateway = LoopbackGateway(Settings.from_environment(stack.environment), web)
    with borrowed_environment(stack.environment):
        gateway.warm_up()
    return stack.serve(gateway.chat_app()).port


@pytest.fixture
def seeing(stack: Stack) -> ScriptedEngine:
    engine = ScriptedEngine([Script(pieces=whole("A", " cat."))])
    stack.second_engine.engine = engine
    return engine


@pytest.fixture
def look(port: int, account: OpenedAccount, host: WebHost) -> Asker:
    host.received.clear()
    return Asker(port, account.authorization)


def showing(*urls: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    content = [{"type": "text", "text": "What is this?"}, *parts]
    return {"model": SECOND_MODEL, "messages": [{"role": "user", "content": content}], **fields}


def images_seen(engine: ScriptedEngine) -> list[str]:
    (body,) = engine.bodies
    (message,) = json.loads(body)["messages"]
    return [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]


def test_an_embedded_image_is_answered(look: Asker, seeing: ScriptedEngine, host: WebHost) -> None:
    response = look(**showing(data_url(jpeg(), "image/png")))
    assert response.status == 200
    assert response.json()["choices"][0]["message"]["content"] == "A cat."
    assert images_seen(seeing) == [data_url(jpeg(), "image/jpeg")]
    assert host.received == []


def test_a_linked_image_is_fetched_and_answered_in_a_stream_too(
    look: Asker, seeing: ScriptedEngine, host: WebHost, account: OpenedAccount
) -> None:
    response, _ = look.stream(**showing(host.url("/a.png")))
    assert response.status == 200
    assert response.body.endswith(b"data: [DONE]\n\n")
    assert images_seen(seeing) == [data_url(png())]
    (received,) = host.received
    assert account.key not in str(received)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "name", "told"),
    [
        ("/a.png", "inner.example", UNREACHABLE),
        ("/a.png", "other.example", UNREACHABLE),
        ("/gone.png", NAME, "could not be fetched: the host answered with status 404."),
        ("/page", NAME, "could not be fetched: the host sent something else than"),
        ("/moved", NAME, UNREACHABLE),
        ("/broken.png", NAME, "it is cut off."),
        ("/a.webp", NAME, "this model takes gif, jpeg, png; got webp."),
    ],
)
def test_a_link_to_no_image_is_a_400_that_names_its_place_and_no_address(
    look: Asker, seeing: ScriptedEngine, host: WebHost, path: str, name: str, told: str, stream: bool
) -> None:
    host.answers |= {
        "/gone.png": answer(404),
        "/page": answer(body=b"<html>", content_type="text/html"),
        "/moved": answer(302, location=host.url("/latest/meta-data/", name="inner.example")),
        "/broken.png": answer(body=png()[:-4], content_type="image/png"),
        "/a.webp": answer(body=webp(vp8()), content_type="image/webp"),
    }
    response = look(**showing(host.url(path, name=name), stream=stream))
    assert response.status == 400
    assert response.error["param"] == AT
    assert response.error["message"].startswith(f"{AT}: ")
    assert told in response.error["message"]
    assert "10.0.0.1" not in response.error["message"]
    assert seeing.bodies == []


@pytest.mark.usefixtures("seeing")
def test_a_link_that_fails_holds_and_costs_nothing(
    look: Asker, stack: Stack, account: OpenedAccount, host: WebHost
) -> None:
    assert look(**showing(host.url("/a.png", name="inner.example"))).status == 400
    assert stack.account_of(account).open == {}
    assert stack.account_of(account).tokens_today == 0
    assert stack.line(SECOND_MODEL).open == {}


@pytest.mark.parametrize("url", ["http://images.example/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA"])
def test_what_needs_no_fetch_is_refused_without_one(look: Asker, host: WebHost, url: str) -> None:
    response = look(**showing(url))
    assert (response.status, response.error["param"]) == (400, AT)
    assert host.received == []


@pytest.mark.usefixtures("look")
def test_a_stranger_makes_us_fetch_nothing(port: int, account: OpenedAccount, host: WebHost) -> None:
    wrong_key, _ = new_key(account.id)
    response = Asker(port, {"Authorization": f"Bearer {wrong_key}"})(**showing(host.url("/a.png")))
    assert response.status == 401
    assert host.received == []


def test_a_model_that_does_not_see_refuses_before_anything_is_fetched(look: Asker, host: WebHost) -> None:
    response = look(**showing(host.url("/a.png")) | {"model": MODEL})
    assert (response.status, response.error["param"]) == (400, "messages[0].content[1]")
    assert host.received == []


def test_the_application_as_deployed_fetches_nothing_from_its_own_network(
    stack: Stack, account: OpenedAccount, port: int
) -> None:
    for name in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433"):
        response = Asker(stack.chat.port, account.authorization)(**showing(f"https://{name}/a.png"))
        assert response.status == 400
        assert UNREACHABLE in response.error["message"]
