"""Images as files: the format by its first bytes, the pixels by its headers, and whether the file is whole.

A decoder allocates what a header promises and works through every part it finds, so both are bounded here, before
an engine sees the file. A PNG's decoder also unfolds whatever was packed into it: `check_pixels` does so first, and
counts. Each walker returns where the file ends; what lies behind that is no part of the image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from zlib import crc32, decompressobj, error

ImageFormat = Literal["png", "jpeg", "gif", "webp"]

MAX_PARTS = 20_000
"""Chunks, segments and blocks of one file; a GIF of 4 MB has 16,000 when its blocks are full."""
MOST_UNFOLDED = 65_536
"""Bytes of a PNG's pixel data beyond its pixels. Some writers leave a few; a decoder unfolds all of them, to memory."""
MAX_SCANS = 64
"""Of a JPEG. Progressive ones have about ten; each costs the decoder a pass over all pixels, however short it is."""


class BadImage(ValueError):
    """The bytes are no image that can be served; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image file: its largest frame in pixels, and how many bytes of the data are the file."""

    format: ImageFormat
    width: int
    height: int
    length: int


def check_pixels(data: bytes, image: Image) -> None:
    """Refuses a PNG whose data are not the pixels of its header: 4 MB can unfold to 4 GB, whatever that says.

    For an image whose number of pixels is bounded already: so much is unfolded here, a piece at a time.
    Raises BadImage. Other formats' data can't be more than their pixels.
    """
    if image.format == "png":
        _unfold_png(data, image)


def inspect_image(data: bytes) -> Image:
    """The image that `data` starts with. Raises BadImage and nothing else."""
    for signature, walk in _WALKERS:
        if signature.match(data):
            return walk(_Reader(data))
    raise BadImage("it is no PNG, JPEG, GIF or WebP image")


class _Reader:
    """Bounded reads: past the end is a cut file, too many parts is a hostile one."""

    __slots__ = ("_parts", "at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._parts = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise BadImage("it is cut off")
        return self.data[start : self.at]

    def number(self, size: int, order: Literal["big", "little"]) -> int:
        """The next bytes as a number."""
        return int.from_bytes(self.take(size), order)

    def begin_part(self) -> None:
        """Counts a part."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadImage(f"it has more than {MAX_PARTS} parts")


def _sized(format_: ImageFormat, width: int, height: int, reader: _Reader) -> Image:
    if not width or not height:
        raise BadImage("it has no pixels")
    return Image(format_, width, height, reader.at)


def _walk_png(reader: _Reader) -> Image:
    reader.take(8)
    kinds: list[bytes] = []
    width = height = 0
    while not kinds or kinds[-1] != b"IEND":
        reader.begin_part()
        size = reader.number(4, "big")
        kind = reader.take(4)
        body = reader.take(size)
        if reader.number(4, "big") != crc32(body, crc32(kind)):
            raise BadImage("a chunk of the PNG is damaged")
        if not kinds and (kind != b"IHDR" or size != 13):
            raise BadImage("the PNG does not start with its header")
        if kind == b"IHDR":
            if kinds:
                raise BadImage("the PNG has two headers")
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        kinds.append(kind)
    if b"IDAT" not in kinds:
        raise BadImage("the PNG has no image data")
    return _sized("png", width, height, reader)


_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a pixel, by the header's colour type."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column and row, and the steps to the next ones."""
_PIECE = 1 << 18


def _unfold_png(data: bytes, image: Image) -> None:
    depth, color, packing, filtering, interlace = data[24:29]
    if depth not in _DEPTHS.get(color, ()) or packing or filtering or interlace > 1:
        raise BadImage("the PNG's header is damaged")
    bits = depth * _SAMPLES[color]
    expected = 0
    for left, top, right_step, down_step in _PASSES if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(image.width - left) // right_step), -(-(image.height - top) // down_step)
        if columns > 0:
            expected += max(rows, 0) * (1 + -(-columns * bits // 8))
    unfolding, unfolded = decompressobj(), 0
    try:
        for piece in _png_data(data):
            rest = piece
            while rest and unfolded <= expected + MOST_UNFOLDED:
                unfolded += len(unfolding.decompress(rest, _PIECE))
                rest = unfolding.unconsumed_tail
        while unfolded < expected and (more := unfolding.decompress(b"", _PIECE)):
            unfolded += len(more)
    except error:
        raise BadImage("the pixels of the PNG are damaged") from None
    if unfolded < expected:
        raise BadImage("it is cut off")
    if unfolded > expected + MOST_UNFOLDED:
        raise BadImage("the PNG unfolds to more than its pixels")


def _png_data(data: bytes) -> Iterator[bytes]:
    """The data of a PNG that was walked, chunk by chunk."""
    reader = _Reader(data)
    reader.take(8)
    kind = b""
    while kind != b"IEND":
        size = reader.number(4, "big")
        kind = reader.take(4)
        if kind == b"IDAT":
            yield reader.take(size)
        else:
            reader.at += size
        reader.at += 4


_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""In entropy-coded data FF is followed by 00 or by a restart marker; anything else is the next segment."""


def _walk_jpeg(reader: _Reader) -> Image:
    reader.take(2)
    width = height = scans = 0
    while (marker := _next_marker(reader)) != _END_OF_IMAGE:
        if marker in _BARE_MARKERS:
            continue
        size = reader.number(2, "big")
        if size < 2:
            raise BadImage("a segment of the JPEG is damaged")
        body = reader.take(size - 2)
        if marker in _FRAME_HEADERS:
            if width or len(body) < 6:
                raise BadImage("the JPEG has two frames, or a damaged one")
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            if not width or not height:
                raise BadImage("it has no pixels")
        if marker == _START_OF_SCAN:
            scans += 1
            if not width or scans > MAX_SCANS:
                raise BadImage(f"the JPEG has a scan before its frame, or more than {MAX_SCANS} scans")
            found = _NEXT_MARKER.search(reader.data, reader.at)
            reader.at = found.start() if found else len(reader.data)
    if not scans:
        raise BadImage("the JPEG has no image data")
    return _sized("jpeg", width, height, reader)


def _next_marker(reader: _Reader) -> int:
    reader.begin_part()
    if reader.take(1) != b"\xff":
        raise BadImage("a segment of the JPEG is damaged")
    while (byte := reader.take(1)[0]) == 0xFF:
        reader.begin_part()
    return byte


def _walk_gif(reader: _Reader) -> Image:
    reader.take(6)
    width, height = reader.number(2, "little"), reader.number(2, "little")
    _skip_color_table(reader, reader.take(3)[0])
    frames = 0
    while (kind := reader.take(1)) != b"\x3b":
        reader.begin_part()
        if kind == b"\x21":
            reader.take(1)
        elif kind == b"\x2c":
            frames += 1
            left, top = reader.number(2, "little"), reader.number(2, "little")
            width = max(width, left + reader.number(2, "little"))
            height = max(height, top + reader.number(2, "little"))
            _skip_color_table(reader, reader.take(1)[0])
            reader.take(1)
        else:
            raise BadImage("a block of the GIF is damaged")
        while size := reader.take(1)[0]:
            reader.begin_part()
            reader.take(size)
    if not frames:
        raise BadImage("the GIF has no image data")
    return _sized("gif", width, height, reader)


def _skip_color_table(reader: _Reader, flags: int) -> None:
    if flags & 0x80:
        reader.take(3 << ((flags & 7) + 1))


def _walk_webp(reader: _Reader) -> Image:
    reader.take(4)
    size = reader.number(4, "little")
    whole = _Reader(reader.take(size))
    whole.take(4)
    width = height = frames = 0
    for kind, body in _riff_chunks(whole):
        if kind not in _WEBP_SIZES:
            continue
        found = _WEBP_SIZES[kind](_Reader(body))
        width, height = max(width, found[0]), max(height, found[1])
        frames += kind != b"VP8X"
    if not frames:
        raise BadImage("the WebP has no image data")
    return _sized("webp", width, height, reader)


def _riff_chunks(reader: _Reader) -> Iterator[tuple[bytes, bytes]]:
    while reader.at < len(reader.data):
        reader.begin_part()
        kind = reader.take(4)
        size = reader.number(4, "little")
        body = reader.take(size)
        reader.at += size & 1
        yield kind, body


def _lossy_size(reader: _Reader) -> tuple[int, int]:
    reader.take(3)
    if reader.take(3) != b"\x9d\x01\x2a":
        raise BadImage("a frame of the WebP is damaged")
    return reader.number(2, "little") & 0x3FFF, reader.number(2, "little") & 0x3FFF


def _lossless_size(reader: _Reader) -> tuple[int, int]:
    if reader.take(1) != b"\x2f":
        raise BadImage("a frame of the WebP is damaged")
    bits = reader.number(4, "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _canvas_size(reader: _Reader) -> tuple[int, int]:
    reader.take(4)
    return reader.number(3, "little") + 1, reader.number(3, "little") + 1


def _frame_size(reader: _Reader) -> tuple[int, int]:
    left, top = 2 * reader.number(3, "little"), 2 * reader.number(3, "little")
    width, height = left + reader.number(3, "little") + 1, top + reader.number(3, "little") + 1
    reader.take(4)
    bitstream = [(kind, body) for kind, body in _riff_chunks(reader) if kind in (b"VP8 ", b"VP8L")]
    if len(bitstream) != 1:
        raise BadImage("a frame of the WebP is damaged")
    kind, body = bitstream[0]
    inner = _WEBP_SIZES[kind](_Reader(body))
    return max(width, inner[0]), max(height, inner[1])


_WEBP_SIZES: dict[bytes, Callable[[_Reader], tuple[int, int]]] = {
    b"VP8 ": _lossy_size,
    b"VP8L": _lossless_size,
    b"VP8X": _canvas_size,
    b"ANMF": _frame_size,
}

_WALKERS: tuple[tuple[re.Pattern[bytes], Callable[[_Reader], Image]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _walk_png),
    (re.compile(rb"\xff\xd8\xff"), _walk_jpeg),
    (re.compile(rb"GIF8[79]a"), _walk_gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _walk_webp),
)
