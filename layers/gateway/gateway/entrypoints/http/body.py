"""Reading a request's body within bounds."""

from __future__ import annotations

import re

from starlette.requests import Request

from gateway.domain.errors import BodyTooLarge, InvalidRequest


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The whole body. Raises BodyTooLarge before more than `max_bytes` are held, InvalidRequest for an encoded one."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidRequest("Send the body without Content-Encoding.")
    if declared_bytes(request) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def declared_bytes(request: Request) -> int:
    """What Content-Length tells, 0 where it tells nothing; a server has refused one that is no number."""
    declared = request.headers.get("content-length", "0")
    return int(declared) if re.fullmatch(r"[0-9]{1,18}", declared) else 0


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over the limit of {max_bytes} bytes.", headers={"connection": "close"})
