"""A projector file, made by hand: the form of Gemma 3's, with almost no weights, and those noise.

llama.cpp decodes an image, scales it to 224 x 224 (Gemma's: 896 x 896) and makes of it 16 vectors (256) as wide as the
language model's own. What those mean nobody can say; that an image is decoded, counted and read is real.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

IMAGE_TOKENS = 16
"""What an image is to a model behind such a projector, its two marks apart."""

_IMAGE_SIZE, _PATCH_SIZE = 224, 14
_WIDTH, _INNER, _LAYERS = 16, 32, 1
_F32, _ALIGNMENT = 0, 32
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9

Value = int | float | bool | str | Sequence[float]


def write_projector(path: Path, *, embedding_length: int) -> Path:
    """Writes the projector for a language model of this width."""
    path.write_bytes(_gguf(_metadata(embedding_length), _tensors(embedding_length)))
    return path


def _metadata(embedding_length: int) -> dict[str, Value]:
    return {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "gemma3",
        "clip.use_gelu": True,
        "clip.vision.image_size": _IMAGE_SIZE,
        "clip.vision.patch_size": _PATCH_SIZE,
        "clip.vision.embedding_length": _WIDTH,
        "clip.vision.feed_forward_length": _INNER,
        "clip.vision.projection_dim": embedding_length,
        "clip.vision.block_count": _LAYERS,
        "clip.vision.attention.head_count": 1,
        "clip.vision.attention.layer_norm_epsilon": 1e-6,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
    }


def _tensors(embedding_length: int) -> dict[str, tuple[int, ...]]:
    """Their shapes, the innermost dimension first."""
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_PATCH_SIZE, _PATCH_SIZE, 3, _WIDTH),
        "v.patch_embd.bias": (_WIDTH,),
        "v.position_embd.weight": (_WIDTH, (_IMAGE_SIZE // _PATCH_SIZE) ** 2),
        "v.post_ln.weight": (_WIDTH,),
        "v.post_ln.bias": (_WIDTH,),
        "mm.input_projection.weight": (embedding_length, _WIDTH),
        "mm.soft_emb_norm.weight": (_WIDTH,),
    }
    for layer in range(_LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            shapes[f"v.blk.{layer}.{name}.weight"] = (_WIDTH, _WIDTH)
            shapes[f"v.blk.{layer}.{name}.bias"] = (_WIDTH,)
        for name in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{name}.weight"] = (_WIDTH,)
            shapes[f"v.blk.{layer}.{name}.bias"] = (_WIDTH,)
        for name, inner, outer in (("ffn_up", _WIDTH, _INNER), ("ffn_down", _INNER, _WIDTH)):
            shapes[f"v.blk.{layer}.{name}.weight"] = (inner, outer)
            shapes[f"v.blk.{layer}.{name}.bias"] = (outer,)
    return shapes


def _gguf(metadata: Mapping[str, Value], tensors: Mapping[str, tuple[int, ...]]) -> bytes:
    noise = Random(3)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(name) + _value(value) for name, value in metadata.items())
    body = b""
    for name, shape in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _F32, len(body))
        count = 1
        for length in shape:
            count *= length
        body += _padded(struct.pack(f"<{count}f", *(noise.uniform(-0.1, 0.1) for _ in range(count))))
    return _padded(head) + body


def _value(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _text(value)
        case _:
            return struct.pack(f"<IIQ{len(value)}f", _ARRAY, _FLOAT32, len(value), *value)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
