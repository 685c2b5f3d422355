"""Image files, made by hand: whole, of any size in pixels, and of almost no bytes."""

from __future__ import annotations

import struct
from base64 import b64encode
from zlib import compress, crc32

from gateway.domain.images import MAX_PIXELS


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))


def png(width: int = 3, height: int = 2, *, padding: int = 0, grey: int = 0) -> bytes:
    """A grey PNG; `padding` bytes of a chunk that decoders skip make it larger."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (
        compress(b"".join(b"\0" + bytes((grey,)) * width for _ in range(height)))
        if width * height <= MAX_PIXELS
        else b"x"
    )
    chunks = [(b"IHDR", header), (b"paDd", bytes(padding)), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def packed_png(
    width: int, height: int, packed: bytes, *, depth: int = 8, color: int = 0, interlace: int = 0, pieces: int = 1
) -> bytes:
    """A PNG of these compressed data, whatever they are, in so many chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    size = -(-len(packed) // pieces)
    data = [(b"IDAT", packed[start : start + size]) for start in range(0, len(packed), size)]
    chunks = [(b"IHDR", header), *data, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg_frame(width: int, height: int) -> bytes:
    return jpeg_segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00")


SCAN = jpeg_segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x12\xff\x00\x34\xff\xd0\x56"


def jpeg(width: int = 3, height: int = 2, *, scans: int = 2) -> bytes:
    """The structure of a progressive JPEG; its pixels are noise."""
    head = b"\xff\xd8" + jpeg_segment(0xE0, b"JFIF\0" + bytes(9)) + jpeg_segment(0xDB, bytes(65))
    return head + jpeg_frame(width, height) + SCAN * scans + b"\xff\xff\xd9"


def grey_jpeg() -> bytes:
    """A whole baseline JPEG of 8 x 8 grey pixels: one block whose only difference to grey is none."""
    table = b"\x01" + bytes(15) + b"\x00"
    frame = jpeg_segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 1) + b"\x01\x11\x00")
    codes = jpeg_segment(0xC4, b"\x00" + table) + jpeg_segment(0xC4, b"\x10" + table)
    scan = jpeg_segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x3f"
    return b"\xff\xd8" + jpeg_segment(0xDB, b"\x00" + b"\x01" * 64) + frame + codes + scan + b"\xff\xd9"


def gif_frame(width: int, height: int) -> bytes:
    return b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80) + bytes(6) + b"\x02\x02\x4c\x01\x00"


def gif(width: int = 3, height: int = 2, *frames: tuple[int, int]) -> bytes:
    """An animated GIF."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    body = b"".join(gif_frame(*frame) for frame in frames or [(width, height)])
    return head + b"\x21\xf9\x04" + bytes(4) + b"\x00" + body + b"\x3b"


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    """A WebP of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8(width: int = 3, height: int = 2) -> bytes:
    return riff_chunk(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"x")


def vp8l(width: int = 3, height: int = 2) -> bytes:
    return riff_chunk(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"xx")


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def vp8x(width: int = 3, height: int = 2) -> bytes:
    return riff_chunk(b"VP8X", bytes(4) + _three(width - 1) + _three(height - 1))


def anmf(width: int, height: int, bitstream: bytes) -> bytes:
    head = _three(0) + _three(0) + _three(width - 1) + _three(height - 1) + bytes(4)
    return riff_chunk(b"ANMF", head + bitstream)


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"
