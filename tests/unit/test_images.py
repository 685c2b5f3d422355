"""Images of a conversation: what is served, what is refused and by which name, and what an engine is given."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import compress

import pytest
from gateway.application.orders import Orders
from gateway.catalogue import load_catalogue
from gateway.domain.chat import ChatRequest, parse_chat_request
from gateway.domain.errors import AuthenticationFailed, InvalidRequest, OutboundFailed
from gateway.domain.image_formats import (
    MAX_PARTS,
    MAX_SCANS,
    MOST_UNFOLDED,
    BadImage,
    Image,
    check_pixels,
    inspect_image,
)
from gateway.domain.images import (
    MAX_IMAGE_BYTES,
    MAX_IMAGES,
    MAX_PIXELS,
    count_images,
    embed_images,
    take_images,
    to_data_url,
)
from gateway.domain.models import Model
from gateway.domain.search import WebResult
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.accounts import new_customer, new_model
from tests.support.engine_pieces import whole
from tests.support.fakes import FakeSearch, NumberedIds
from tests.support.house import House, build_house, drive
from tests.support.image_files import (
    SCAN,
    anmf,
    data_url,
    gif,
    gif_frame,
    jpeg,
    jpeg_frame,
    jpeg_segment,
    packed_png,
    png,
    png_chunk,
    riff_chunk,
    vp8,
    vp8l,
    vp8x,
    webp,
)

pytestmark = pytest.mark.anyio

FILES = {
    "png": png(30, 20),
    "jpeg": jpeg(30, 20),
    "gif": gif(30, 20),
    "gif of a larger frame": gif(3, 2, (30, 20), (4, 4)),
    "webp, lossy": webp(vp8(30, 20)),
    "webp, lossless": webp(vp8l(30, 20)),
    "webp, extended": webp(vp8x(30, 20), riff_chunk(b"ICCP", b"odd"), vp8(30, 20)),
    "webp, animated": webp(vp8x(30, 20), riff_chunk(b"ANIM", bytes(6)), anmf(30, 20, vp8l(30, 20))),
}
LINK = "https://images.example/a.png"


def message(*urls: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "high"}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}


def refusal_of(*urls: Any, dialect: str = "vllm") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        take_images([{"role": "user", "content": "hi"}, message(*urls)], dialect=dialect)
    return refused.value


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_an_image_is_known_by_its_bytes_and_measured_by_its_headers(data: bytes) -> None:
    image = inspect_image(data)
    assert (image.width, image.height, image.length) == (30, 20, len(data))


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_an_image_that_is_cut_anywhere_is_refused(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(BadImage):
            inspect_image(data[:end])


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_what_lies_behind_an_image_is_not_part_of_it(data: bytes) -> None:
    assert inspect_image(data + b"<script>").length == len(data)


PNG_HEADER = png()[8:33]
PNG_SIGNATURE = png()[:8]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"", "no PNG, JPEG", id="nothing"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG", id="svg"),
        pytest.param(b"BM" + bytes(100), "no PNG, JPEG", id="bmp"),
        pytest.param(png(0, 2), "no pixels", id="png without width"),
        pytest.param(jpeg(3, 0), "no pixels", id="jpeg without height"),
        pytest.param(gif(0, 2, (0, 0)), "no pixels", id="gif without width"),
        pytest.param(webp(vp8(0, 2)), "no pixels", id="webp without width"),
        pytest.param(png()[:40] + b"X" + png()[41:], "damaged", id="png with a wrong sum"),
        pytest.param(PNG_SIGNATURE + png_chunk(b"IDAT", b""), "start with its header", id="png without a header"),
        pytest.param(PNG_SIGNATURE + PNG_HEADER * 2, "two headers", id="png with two"),
        pytest.param(PNG_SIGNATURE + PNG_HEADER + png_chunk(b"IEND", b""), "no image data", id="png without data"),
        pytest.param(PNG_SIGNATURE + PNG_HEADER + png_chunk(b"a", b"")[:0] + b"\xff" * 8, "cut off", id="png of 4 GB"),
        pytest.param(b"\xff\xd8\xff\xd9", "no image data", id="empty jpeg"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x01", "damaged", id="jpeg with a segment of no length"),
        pytest.param(b"\xff\xd8" + jpeg_frame(1, 1) * 2, "two frames", id="jpeg with two frames"),
        pytest.param(b"\xff\xd8" + jpeg_segment(0xC0, b"12"), "damaged", id="jpeg with a short frame"),
        pytest.param(b"\xff\xd8" + SCAN, "scan before its frame", id="jpeg without a frame"),
        pytest.param(jpeg(scans=MAX_SCANS + 1), "scans", id="jpeg of too many scans"),
        pytest.param(gif()[:-1] + b"\x3c\x3b", "damaged", id="gif with an unknown block"),
        pytest.param(b"GIF87a" + bytes(7) + b"\x3b", "no image data", id="gif without a frame"),
        pytest.param(webp(), "no image data", id="empty webp"),
        pytest.param(webp(vp8x()), "no image data", id="webp of a canvas alone"),
        pytest.param(webp(anmf(3, 2, b"")), "damaged", id="webp with an empty frame"),
        pytest.param(webp(riff_chunk(b"VP8 ", bytes(20))), "damaged", id="webp without a key frame"),
        pytest.param(webp(riff_chunk(b"VP8L", bytes(20))), "damaged", id="webp without a lossless signature"),
        pytest.param(b"GIF89a" + bytes(7) + gif_frame(1, 1) * MAX_PARTS, "parts", id="gif of too many parts"),
        pytest.param(PNG_SIGNATURE + PNG_HEADER + png_chunk(b"tEXt", b"") * MAX_PARTS, "parts", id="png of too many"),
        pytest.param(b"\xff\xd8" + b"\xff" * MAX_PARTS * 2, "parts", id="jpeg of fill bytes"),
        pytest.param(webp(riff_chunk(b"JUNK", b"") * MAX_PARTS * 2), "parts", id="webp of too many parts"),
    ],
)
def test_what_no_decoder_should_see_is_refused_with_the_reason(data: bytes, told: str) -> None:
    with pytest.raises(BadImage, match=told):
        inspect_image(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(packed_png(1, 1, compress(bytes(2 + MOST_UNFOLDED + 1))), "more than its pixels", id="too much"),
        pytest.param(packed_png(1, 1, compress(bytes(300_000_000))), "more than its pixels", id="a bomb"),
        pytest.param(
            packed_png(1, 1, compress(bytes(9_000_000)), pieces=50), "more than its pixels", id="a bomb in pieces"
        ),
        pytest.param(packed_png(9, 9, compress(bytes(89))), "cut off", id="too little"),
        pytest.param(packed_png(9, 9, compress(bytes(90)), depth=16), "cut off", id="too little for its depth"),
        pytest.param(packed_png(1, 1, compress(bytes(2)), depth=3), "header is damaged", id="a depth that is none"),
        pytest.param(
            packed_png(1, 1, compress(bytes(2)), color=5), "header is damaged", id="a colour type that is none"
        ),
        pytest.param(
            packed_png(1, 1, compress(bytes(2)), interlace=2), "header is damaged", id="an interlacing that is none"
        ),
        pytest.param(packed_png(9, 9, b"?" * 12), "pixels of the PNG are damaged", id="no compressed data"),
    ],
)
def test_a_png_whose_data_are_not_its_pixels_is_refused_by_its_place(data: bytes, told: str) -> None:
    refused = refusal_of(data_url(data))
    assert refused.param == "messages[1].content[1].image_url.url"
    assert told in refused.message


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(
    ("depth", "color", "interlace", "length"),
    [(8, 0, 0, 90), (1, 0, 0, 27), (16, 6, 0, 657), (8, 2, 0, 252), (4, 3, 0, 54), (8, 0, 1, 100), (2, 3, 1, 48)],
)
def test_a_png_of_any_kind_is_unfolded_to_its_pixels(
    depth: int, color: int, interlace: int, length: int, pieces: int
) -> None:
    def kind(size: int) -> bytes:
        return packed_png(9, 9, compress(bytes(size)), depth=depth, color=color, interlace=interlace, pieces=pieces)

    take_images([message(data_url(kind(length)), data_url(kind(length + 9)))], dialect="vllm")
    assert "cut off" in refusal_of(data_url(kind(length - 1))).message


SIGNATURES = st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x40\0\0\0WEBP"])


@given(SIGNATURES, st.binary(max_size=200))
@example(b"\xff\xd8\xff", b"\xff")
def test_no_bytes_raise_anything_but_a_refusal(signature: bytes, rest: bytes) -> None:
    with suppress(BadImage):
        assert isinstance(inspect_image(signature + rest), Image)


@given(st.sampled_from(list(FILES.values())), st.data())
def test_no_changed_byte_of_an_image_raises_anything_but_a_refusal(data: bytes, choose: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(choose.draw(st.integers(1, 4))):
        changed[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))
    with suppress(BadImage):
        image = inspect_image(bytes(changed))
        assert image.length <= len(changed)
        if image.width * image.height <= MAX_PIXELS:
            check_pixels(bytes(changed), image)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_an_embedded_image_is_passed_on_as_what_it_is(data: bytes) -> None:
    text = data_url(data + b"trailing", "text/html;charset=utf-8")
    wrapped = f"{text[:60]}\n{text[60:]}\r\n"
    (taken,), links = take_images([message(wrapped)], dialect="vllm")
    assert links == ()
    assert taken["content"][0] == {"type": "text", "text": "What is this?"}
    format_ = inspect_image(data).format
    assert taken["content"][1] == {"type": "image_url", "image_url": {"url": data_url(data, f"image/{format_}")}}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://images.example/a.png", "expected an https link or a data URL"),
        ("file:///etc/passwd", "expected an https link or a data URL"),
        ("", "expected an https link or a data URL"),
        ("https://images.example/" + "a" * 2048, "at most 2048 characters"),
        ("data:image/png,abc", "in base64"),
        ("data:image/png;base64", "in base64"),
        ("data:image/png;base64,A", "not valid base64"),
        ("data:image/png;base64,AA=A", "not valid base64"),
        ("data:image/png;base64,AAA\xe9", "not valid base64"),
        ("data:image/png;base64,", "no PNG, JPEG"),
        ("data:image/png;base64," + "A" * (MAX_IMAGE_BYTES * 4 // 3 + 8), "over the limit of 4000000 bytes"),
        (data_url(png(padding=MAX_IMAGE_BYTES)), "over the limit of 4000000 bytes"),
        (data_url(png(4001, 4000)), "4001 x 4000 pixels; at most 16000000"),
        (data_url(png(2**31, 2**31)), "pixels; at most"),
    ],
)
def test_a_bad_image_is_refused_by_its_place_in_the_request(url: str, told: str) -> None:
    refused = refusal_of(data_url(png()), url)
    assert refused.param == "messages[1].content[2].image_url.url"
    assert refused.message.startswith(f"{refused.param}: ")
    assert told in refused.message
    assert len(refused.message) < 250


@pytest.mark.parametrize("url", [data_url(png(4000, 4000)), data_url(png(padding=MAX_IMAGE_BYTES - len(png())))])
def test_an_image_at_a_limit_is_served(url: str) -> None:
    take_images([message(url)], dialect="llama.cpp")


def test_a_ninth_image_is_refused() -> None:
    take_images([message(*[data_url(png())] * MAX_IMAGES)], dialect="llama.cpp")
    refused = refusal_of(*[data_url(png())] * MAX_IMAGES, LINK)
    assert refused.param == "messages[1].content[9].image_url.url"


def test_a_format_that_the_models_engine_lacks_is_refused_by_name() -> None:
    assert "gif, jpeg, png; got webp" in refusal_of(data_url(webp(vp8())), dialect="llama.cpp").message


def test_links_are_named_once_with_the_first_place_and_left_as_they_are() -> None:
    messages = [message(LINK), {"role": "user", "content": "hi"}, message(LINK, "HTTPS://Images.example/b")]
    taken, links = take_images(messages, dialect="llama.cpp")
    assert taken == messages
    assert [(link.url, link.param) for link in links] == [
        (LINK, "messages[0].content[1].image_url.url"),
        ("HTTPS://Images.example/b", "messages[2].content[2].image_url.url"),
    ]


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["image_url", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "image_url", "url", "content", "role"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content"]), ANYTHING, max_size=2), max_size=3))
def test_whatever_is_no_image_part_is_left_to_whoever_judges_messages(messages: list[dict[str, Any]]) -> None:
    with suppress(InvalidRequest):
        taken, _ = take_images(messages, dialect="llama.cpp")
        assert taken == messages


def test_a_link_that_was_not_fetched_reaches_no_engine() -> None:
    body = {"messages": [{"role": "system", "content": "hi"}, message(LINK)], "max_tokens": 5}
    with pytest.raises(KeyError):
        embed_images(body, {})
    embedded = embed_images(body, {LINK: data_url(png())})
    assert LINK not in json.dumps(embedded)
    assert embedded["max_tokens"] == 5
    assert count_images(embedded["messages"]) == 1


# ------------------------------------------------------------- orders and runs


@dataclass
class Album:
    """A web of these images; a failure is raised."""

    images: dict[str, bytes | OutboundFailed] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    async def get(self, url: str, *, media_types: frozenset[str], max_bytes: int) -> bytes:
        self.fetched.append(url)
        assert "image/png" in media_types
        found = self.images[url]
        if isinstance(found, OutboundFailed):
            raise found
        assert len(found) <= max_bytes
        return found

    async def post(self, url: str, *, headers: Any, body: bytes) -> int:
        raise AssertionError("nothing is posted")


SEEING = replace(new_model(vision=True), image_tokens=256, context_tokens=8192)


def orders(model: Model = SEEING) -> Orders:
    return Orders(replace(load_catalogue(), models={model.id: model}), NumberedIds())


def chat(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return parse_chat_request(json.dumps({"model": "small", "messages": messages, **fields}).encode())


async def house_with(album: Album) -> House:
    return await build_house(whole("A cat."), web=album, customer=new_customer(daily_tokens=100_000))


def images_in(body: Any) -> list[str]:
    return [
        part["image_url"]["url"]
        for turn in body["messages"]
        if isinstance(turn["content"], list)
        for part in turn["content"]
        if part["type"] == "image_url"
    ]


async def test_linked_images_are_fetched_once_and_the_engine_gets_them_embedded() -> None:
    album = Album({LINK: png(), f"{LINK}?2": jpeg()})
    house = await house_with(album)
    order = orders().of_chat(chat(message(LINK, LINK, data_url(gif()), f"{LINK}?2")), key=house.customer.key)
    await drive(house, order)
    assert sorted(album.fetched) == [LINK, f"{LINK}?2"]
    (body,) = house.engine.bodies
    expected = [data_url(png()), data_url(png()), data_url(gif(), "image/gif"), data_url(jpeg(), "image/jpeg")]
    assert images_in(body) == expected


async def test_a_question_of_ours_about_a_linked_image_embeds_it_too() -> None:
    page = WebResult(title="Cats", url="https://cats.example/", snippet="All of them.", source="cats.example")
    house = await build_house(
        whole('{"query": "cat"}'),
        whole("A cat."),
        web=Album({LINK: png()}),
        customer=new_customer(daily_tokens=100_000),
        search=FakeSearch([page]),
    )
    await drive(house, orders().of_chat(chat(message(LINK), web_search="force"), key=house.customer.key))
    assert [images_in(body) for body in house.engine.bodies] == [[data_url(png())]] * 2


async def test_each_image_reserves_its_tokens() -> None:
    key = new_customer().key
    one, three = (orders().of_chat(chat(message(*[data_url(png())] * n)), key=key) for n in (1, 3))
    assert three.reserved_tokens - one.reserved_tokens == 2 * 256


def test_the_models_that_see_have_a_price_in_tokens_for_an_image() -> None:
    assert {model.image_tokens for model in load_catalogue().models.values() if model.vision} == {256}
    assert {model.image_tokens for model in load_catalogue().models.values() if not model.vision} == {0}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (OutboundFailed("the host can't be reached over the public internet"), "could not be fetched: the host can't"),
        (b"<html>", "it is no PNG, JPEG, GIF or WebP image"),
        (png(5000, 4000), "5000 x 4000 pixels"),
        (webp(vp8()), "this model takes gif, jpeg, png"),
    ],
)
async def test_a_link_to_no_image_is_refused_by_its_place_and_nothing_is_held_or_charged(
    found: bytes | OutboundFailed, told: str
) -> None:
    house = await house_with(Album({LINK: found, f"{LINK}?2": png()}))
    order = orders().of_chat(chat(message(f"{LINK}?2", LINK)), key=house.customer.key)
    with pytest.raises(InvalidRequest) as refused:
        await house.generate.start(order)
    assert refused.value.param == "messages[0].content[2].image_url.url"
    assert told in refused.value.message
    assert "x-ratelimit-limit-tokens" in refused.value.headers
    assert house.engine.bodies == []
    assert await house.held() == set()
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.cost_nano_usd) == ("failed", 400, 0)
    assert (await house.account()).tokens_today == 0


async def test_linked_images_that_are_too_large_together_are_refused() -> None:
    links = [f"{LINK}?{number}" for number in range(4)]
    house = await house_with(Album({link: png(padding=3_500_000) for link in links}))
    with pytest.raises(InvalidRequest, match="12000000 bytes in all") as refused:
        await house.generate.start(orders().of_chat(chat(message(*links)), key=house.customer.key))
    assert refused.value.param == "messages[0].content[4].image_url.url"


async def test_who_is_not_admitted_makes_us_call_nobody() -> None:
    album = Album({LINK: png()})
    house = await house_with(album)
    with pytest.raises(AuthenticationFailed):
        await house.generate.start(orders().of_chat(chat(message(LINK)), key=new_customer().key))
    assert album.fetched == []


def test_a_text_only_model_refuses_an_image_whatever_it_is() -> None:
    with pytest.raises(InvalidRequest, match="this model does not see") as refused:
        orders(new_model()).of_chat(chat(message("no image at all")), key=new_customer().key)
    assert refused.value.param == "messages[0].content[1]"


def test_the_place_of_an_image_is_the_clients_count_also_behind_instructions_of_ours() -> None:
    with pytest.raises(InvalidRequest) as refused:
        orders().of_chat(chat(message("ftp://x"), response_format="json"), key=new_customer().key)
    assert refused.value.param == "messages[0].content[1].image_url.url"


def test_a_data_url_says_what_the_image_is() -> None:
    assert to_data_url(png(), "image", dialect="vllm") == data_url(png())
