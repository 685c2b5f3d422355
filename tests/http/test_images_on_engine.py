"""Images before a real engine that sees: llama.cpp decodes, counts and reads them.

It has the local model and a projector of noise in the form of Gemma 3's. What it sees means nothing; the wire, the
decoders, the counts and the refusals are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import compress

import pytest
from gateway.config import Settings
from gateway.domain.images import MAX_IMAGES

from infra.local.gguf import read_header
from infra.local.llama import LlamaEngine
from tests.http.asking import Asker
from tests.support.image_files import data_url, gif, grey_jpeg, packed_png, png
from tests.support.local_stack import model_file
from tests.support.loopback_gateway import LoopbackGateway
from tests.support.projector_file import IMAGE_TOKENS, write_projector
from tests.support.real_engine import serve_model
from tests.support.sse_reader import read_events
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack, borrowed_environment
from tests.support.web_host import NAME, Authority, WebHost, answer, make_authority

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

CONTEXT_TOKENS = 256
MOST_MARKS = 16
"""What stands around an image: one token on each side in Gemma's vocabulary, several in the local model's."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def host(authority: Authority) -> Iterator[WebHost]:
    host = WebHost(authority.server(), {"/white.png": answer(body=png(40, 30, grey=255), content_type="image/png")})
    yield host
    host.stop()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    width = read_header(model_file()).metadata["llama.embedding_length"]
    assert isinstance(width, int)
    projector = write_projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf", embedding_length=width)
    with serve_model(context_tokens=CONTEXT_TOKENS, sequences=1, projector=projector) as url:
        yield url


@pytest.fixture(scope="module")
def port(stack: Stack, authority: Authority, host: WebHost) -> int:
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=4))
    gateway = LoopbackGateway(Settings.from_environment(stack.environment), authority.web(host))
    with borrowed_environment(stack.environment):
        gateway.warm_up()
    return stack.serve(gateway.chat_app()).port


@pytest.fixture
def look(stack: Stack, port: int, account: OpenedAccount, seeing: str) -> Asker:
    stack.second_engine.engine = LlamaEngine(seeing)
    return Asker(port, account.authorization)


def showing(*urls: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [{"type": "text", "text": "What is this?"}, *parts]
    messages = [{"role": "user", "content": content}]
    return {"model": SECOND_MODEL, "messages": messages, "max_tokens": 2, "temperature": 0, **fields}


def answered(look: Asker, *urls: str, **fields: Any) -> dict[str, Any]:
    response = look(**showing(*urls, **fields))
    assert response.status == 200, response.body
    body: dict[str, Any] = response.json()
    return body


def seen(look: Asker, *urls: str) -> list[float]:
    """How likely the model holds the first tokens: the same for the same picture only."""
    (choice,) = answered(look, *urls, logprobs=True, top_logprobs=5)["choices"]
    return [token["logprob"] for token in choice["logprobs"]["content"]]


@pytest.mark.parametrize(
    "image", [png(), png(1200, 7), packed_png(9, 9, compress(bytes(100)), interlace=1), grey_jpeg(), gif(1, 1)]
)
def test_an_image_is_decoded_and_counted_as_the_model_s_tokens_for_one(look: Asker, image: bytes) -> None:
    bare = answered(look)["usage"]["prompt_tokens"]
    body = answered(look, data_url(image))
    assert IMAGE_TOKENS < body["usage"]["prompt_tokens"] - bare <= IMAGE_TOKENS + MOST_MARKS
    assert body["usage"]["completion_tokens"] > 0


def test_each_image_counts(look: Asker) -> None:
    one, two, three = (answered(look, *[data_url(png())] * n)["usage"]["prompt_tokens"] for n in (1, 2, 3))
    assert IMAGE_TOKENS < three - two == two - one <= IMAGE_TOKENS + MOST_MARKS


def test_the_picture_itself_reaches_the_model(look: Asker, host: WebHost) -> None:
    black, white = data_url(png(40, 30)), data_url(png(40, 30, grey=255))
    assert seen(look, black) != seen(look, white)
    assert seen(look, white) == seen(look, host.url("/white.png"))


def test_a_stream_tells_the_same(look: Asker) -> None:
    whole = answered(look, data_url(png()))
    events = read_events(look.stream(**showing(data_url(png())))[1])
    assert events[-1] == "[DONE]"
    assert events[-2]["usage"] == whole["usage"]


def test_a_tool_s_image_is_seen_too(look: Asker) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": data_url(png())}}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [image]},
    ]
    assert answered(look, messages=messages)["usage"]["prompt_tokens"] > IMAGE_TOKENS


@pytest.mark.parametrize("stream", [False, True])
def test_damage_that_only_a_decoder_finds_is_a_400_that_holds_and_bills_nothing(
    look: Asker, stack: Stack, account: OpenedAccount, stream: bool
) -> None:
    broken = grey_jpeg().replace(b"\x00\x01" + bytes(15), b"\x00\x00" + bytes(14) + b"\x01")
    response = look(**showing(data_url(broken), stream=stream))
    assert (response.status, response.error["type"]) == (400, "invalid_request_error"), response.body
    assert stack.account_of(account).tokens_today == 0
    assert dict(stack.account_of(account).open) == {}
    assert stack.line(SECOND_MODEL).open == {}


def test_images_over_the_context_are_a_400_with_both_numbers(look: Asker) -> None:
    response = look(**showing(*[data_url(png())] * MAX_IMAGES))
    assert (response.status, response.error["reason"]) == (400, "context_length_exceeded"), response.body
    assert f" {CONTEXT_TOKENS}." in response.error["message"]
