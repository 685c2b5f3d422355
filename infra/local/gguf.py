"""The header of a GGUF file: enough to refuse a broken one and to reckon its memory before llama.cpp sees it."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from infra.local.failure import CannotStart

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F16_BYTES = 2
# llama.cpp's cache of a sliding-window layer holds the window and one batch of this many tokens.
_BATCH_TOKENS = 512
_GEMMA3_LAYERS_PER_FULL = 6

Value = int | float | str | bool | tuple[int | float | bool, ...] | None


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The metadata of a file of `size_bytes`."""

    size_bytes: int
    metadata: dict[str, Value]

    def cache_bytes(self, context_tokens: int) -> int:
        """What the key-value cache of one sequence takes, at most."""
        architecture = self.metadata["general.architecture"]
        layers = self._number(f"{architecture}.block_count")
        heads = self._number(f"{architecture}.attention.head_count")
        cached_heads = self._number(f"{architecture}.attention.head_count_kv", heads)
        head_length = self._number(f"{architecture}.embedding_length") // max(heads, 1)
        per_layer_and_token = (
            _F16_BYTES
            * cached_heads
            * (
                self._number(f"{architecture}.attention.key_length", head_length)
                + self._number(f"{architecture}.attention.value_length", head_length)
            )
        )
        full_layers, window_tokens = layers, 0
        if architecture == "gemma3":
            full_layers = -(-layers // _GEMMA3_LAYERS_PER_FULL)
            window = self._number("gemma3.attention.sliding_window", context_tokens)
            window_tokens = min(context_tokens, window + _BATCH_TOKENS)
        return per_layer_and_token * (full_layers * context_tokens + (layers - full_layers) * window_tokens)

    def _number(self, key: str, default: int | None = None) -> int:
        value = self.metadata.get(key, default)
        if isinstance(value, tuple):
            value = max(value)
        if not isinstance(value, int):
            raise CannotStart(f"The model file has no number {key} in its header.")
        return value


def read_header(path: Path) -> GgufHeader:
    """The header of a file. Raises CannotStart where it is missing, no GGUF, or cut short."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data, path).header()
    except OSError as error:
        raise CannotStart(f"The model file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, struct.error, UnicodeDecodeError, KeyError):
        # An empty file cannot be mapped, and a header that runs out or lies about lengths cannot be unpacked.
        raise CannotStart(f"The model file {path} is cut short or broken: its GGUF header cannot be read.") from None


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = 0

    def header(self) -> GgufHeader:
        if self._data[:4] != b"GGUF":
            raise CannotStart(f"The model file {self._path} is not a GGUF file.")
        self._at = 4
        version, tensors, pairs = self._number("I"), self._number("Q"), self._number("Q")
        if version not in (2, 3):
            raise CannotStart(f"The model file {self._path} is of GGUF version {version}; 2 and 3 can be read.")
        metadata = {self._string(): self._value(int(self._number("I"))) for _ in range(int(pairs))}
        last_tensor = 0
        for _ in range(int(tensors)):
            self._string()
            dimensions = int(self._number("I"))
            self._at += 8 * dimensions + 4
            last_tensor = max(last_tensor, int(self._number("Q")))
        # The real end needs each tensor's size, which llama.cpp checks; a download that stopped early fails here.
        if self._at + last_tensor >= len(self._data):
            raise CannotStart(
                f"The model file {self._path} is cut short: {len(self._data)} bytes do not hold its tensors."
            )
        return GgufHeader(len(self._data), metadata)

    def _number(self, code: str) -> int | float | bool:
        (number,) = struct.unpack_from(f"<{code}", self._data, self._at)
        self._at += struct.calcsize(f"<{code}")
        value: int | float | bool = number
        return value

    def _string(self) -> str:
        length = int(self._number("Q"))
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise ValueError("a string runs past the end")
        return self._data[start : self._at].decode()

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        item, count = int(self._number("I")), int(self._number("Q"))
        if item in _NUMBERS:
            form = f"<{count}{_NUMBERS[item]}"
            numbers: tuple[int | float | bool, ...] = struct.unpack_from(form, self._data, self._at)
            self._at += struct.calcsize(form)
            return numbers
        for _ in range(count):
            # A vocabulary: 50 to 260 thousand strings that nobody needs, so none is decoded.
            if item == _STRING:
                length = int(self._number("Q"))
                self._at += length
            else:
                self._value(item)
        return None
