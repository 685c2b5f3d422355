"""Linked images: fetched once a request is admitted, so that nobody without key and quota makes us call anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.application.ports import Web
from gateway.domain.errors import InvalidRequest, OutboundFailed
from gateway.domain.images import MAX_IMAGE_BYTES, MAX_LINKED_BYTES, ImageLink, to_data_url

MEDIA_TYPES = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/jpg",
        "image/gif",
        "image/webp",
        "application/octet-stream",
        "binary/octet-stream",
    }
)
"""What an image's host may call it; object stores say octets. What it is, its bytes tell."""


@dataclass(frozen=True, slots=True)
class LoadImages:
    """Fetches the images that a request links to. `web` makes the client when the first one is wanted."""

    web: Callable[[], Web]

    async def __call__(self, links: Sequence[ImageLink], *, dialect: str) -> Mapping[str, str]:
        """The data URL of each link. Raises InvalidRequest for the first, in the request's order, that is no image."""
        if not links:
            return {}
        # making one imports httpx and reads the CA certificates: 0.3 s that other streams must not wait for
        web = await asyncio.to_thread(self.web)
        fetched = await asyncio.gather(*(_fetch(web, link) for link in links))
        # up to 40 ms for each where a file is made to be slow
        return await asyncio.to_thread(_judge, links, fetched, dialect)


def _judge(links: Sequence[ImageLink], fetched: Sequence[bytes | InvalidRequest], dialect: str) -> dict[str, str]:
    data_urls, total = {}, 0
    for link, data in zip(links, fetched, strict=True):
        if isinstance(data, InvalidRequest):
            raise data
        total += len(data)
        if total > MAX_LINKED_BYTES:
            raise InvalidRequest(
                f"{link.param}: the linked images are over the limit of {MAX_LINKED_BYTES} bytes in all.",
                param=link.param,
            )
        data_urls[link.url] = to_data_url(data, link.param, dialect=dialect)
    return data_urls


async def _fetch(web: Web, link: ImageLink) -> bytes | InvalidRequest:
    try:
        return await web.get(link.url, media_types=MEDIA_TYPES, max_bytes=MAX_IMAGE_BYTES)
    except OutboundFailed as failure:
        return InvalidRequest(f"{link.param}: the image could not be fetched: {failure}.", param=link.param)
