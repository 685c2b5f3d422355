"""The images of a conversation: embedded ones judged, linked ones named, and both as what an engine is given.

An engine gets data URLs only. Both engines would fetch a link themselves, from inside our network.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import InvalidRequest
from gateway.domain.image_formats import BadImage, ImageFormat, check_pixels, inspect_image

Message = Mapping[str, Any]

MAX_IMAGES = 8
MAX_IMAGE_BYTES = 4_000_000
MAX_LINKED_BYTES = 12_000_000
"""All linked images of a request: in base64 16 MB, and SageMaker takes 25 with the body that named them."""
MAX_PIXELS = 16_000_000
MAX_LINK_CHARACTERS = 2048

FORMATS: Mapping[str, frozenset[ImageFormat]] = {
    # its decoder is stb_image, which has no WebP
    "llama.cpp": frozenset({"png", "jpeg", "gif"}),
    "vllm": frozenset({"png", "jpeg", "gif", "webp"}),
}
"""What the engine of each dialect decodes."""

_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_LONGEST_BASE64 = -(-MAX_IMAGE_BYTES // 3) * 4
_BLANKS = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True, slots=True)
class ImageLink:
    """An image that is still to be fetched, and the first place in the request that names it."""

    url: str
    param: str


def take_images(messages: Sequence[Message], *, dialect: str) -> tuple[list[Message], tuple[ImageLink, ...]]:
    """The conversation with its embedded images as canonical data URLs, and the links in it, each once.

    What is no image part, or not a well-formed one, is left as it is. Raises InvalidRequest naming the image's URL.
    """
    taken: list[Message] = []
    links: dict[str, str] = {}
    count = 0
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, list) or not any(_url_of(part) is not None for part in content):
            taken.append(message)
            continue
        parts: list[Any] = []
        for position, part in enumerate(content):
            url = _url_of(part)
            if url is None:
                parts.append(part)
                continue
            param = f"messages[{index}].content[{position}].image_url.url"
            count += 1
            if count > MAX_IMAGES:
                raise InvalidRequest(f"{param}: expected at most {MAX_IMAGES} images in a request.", param=param)
            if _is_link(url, param):
                links.setdefault(url, param)
                parts.append(part)
            else:
                parts.append(_image_part(_read_data_url(url, param, dialect=dialect)))
        taken.append({**message, "content": parts})
    return taken, tuple(ImageLink(url, param) for url, param in links.items())


def to_data_url(data: bytes, param: str, *, dialect: str) -> str:
    """The image as a data URL that says what it is. Raises InvalidRequest saying what is wrong with it."""
    if len(data) > MAX_IMAGE_BYTES:
        raise _too_large(param)
    try:
        image = inspect_image(data)
    except BadImage as problem:
        raise InvalidRequest(f"{param}: {problem}.", param=param) from None
    if image.width * image.height > MAX_PIXELS:
        raise InvalidRequest(
            f"{param}: the image has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are served.",
            param=param,
        )
    try:
        check_pixels(data, image)
    except BadImage as problem:
        raise InvalidRequest(f"{param}: {problem}.", param=param) from None
    if image.format not in FORMATS[dialect]:
        served = ", ".join(sorted(FORMATS[dialect]))
        raise InvalidRequest(f"{param}: this model takes {served}; got {image.format}.", param=param)
    return f"data:image/{image.format};base64,{b64encode(data[: image.length]).decode()}"


def embed_images(body: Mapping[str, Any], data_urls: Mapping[str, str]) -> Mapping[str, Any]:
    """An engine's body with each link replaced by its image.

    Raises KeyError for a link that was not fetched: none may reach an engine.
    """
    return {**body, "messages": [_embedded(message, data_urls) for message in body["messages"]]}


def count_images(messages: Sequence[Message]) -> int:
    """How many images an engine will see."""
    return sum(
        _url_of(part) is not None
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
    )


def _embedded(message: Message, data_urls: Mapping[str, str]) -> Message:
    if isinstance(message["content"], str):
        return message
    return {**message, "content": [_embedded_part(part, data_urls) for part in message["content"]]}


def _embedded_part(part: Any, data_urls: Mapping[str, str]) -> Any:
    url = _url_of(part)
    return part if url is None or url.startswith("data:") else _image_part(data_urls[url])


def _url_of(part: Any) -> str | None:
    """The URL of a well-formed image part."""
    if not isinstance(part, Mapping) or part.get("type") != "image_url":
        return None
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else None
    return url if isinstance(url, str) else None


def _image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _is_link(url: str, param: str) -> bool:
    scheme = url[:8].lower()
    if scheme == "https://":
        if len(url) > MAX_LINK_CHARACTERS:
            raise InvalidRequest(f"{param}: expected a link of at most {MAX_LINK_CHARACTERS} characters.", param=param)
        return True
    if not scheme.startswith("data:"):
        raise InvalidRequest(f"{param}: expected an https link or a data URL.", param=param)
    return False


def _read_data_url(url: str, param: str, *, dialect: str) -> str:
    head = _DATA_URL.match(url[:256])
    if head is None:
        raise InvalidRequest(f"{param}: expected 'data:image/...;base64,' and the image in base64.", param=param)
    text = url[head.end() :].translate(_BLANKS)
    if len(text) > _LONGEST_BASE64:
        raise _too_large(param)
    try:
        data = a2b_base64(text, strict_mode=True)
    except (NotBase64, ValueError):
        raise InvalidRequest(f"{param}: the data URL is not valid base64.", param=param) from None
    return to_data_url(data, param, dialect=dialect)


def _too_large(param: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: the image is over the limit of {MAX_IMAGE_BYTES} bytes.", param=param)
