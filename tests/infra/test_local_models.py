"""Model files: their headers, whether they fit, and what is said where they do not."""

from __future__ import annotations

import struct
from decimal import Decimal
from pathlib import Path

import pytest
from gateway.catalogue import load_catalogue
from gateway.domain.models import Model
from hypothesis import given
from hypothesis import strategies as st

from infra.local.failure import CannotStart
from infra.local.gguf import read_header
from infra.local.models import DEFAULT_MODEL, available_memory, choose_models
from infra.local.settings import ModelFile, parse_model_paths, read_settings

KIB = 1024


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, value: int | str | list[str]) -> bytes:
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))


def gguf(*, architecture: str = "llama", layers: int = 6, tensor_bytes: int = 64 * KIB, **more: int) -> bytes:
    """A file whose cache takes 2 × 2 bytes × 4 heads × 32 = 512 bytes a layer and token."""
    pairs = [
        pair("general.architecture", architecture),
        pair("tokenizer.ggml.tokens", ["a", "é", ""]),
        pair(f"{architecture}.block_count", layers),
        pair(f"{architecture}.attention.head_count", 8),
        pair(f"{architecture}.attention.head_count_kv", 4),
        pair(f"{architecture}.embedding_length", 256),
        *(pair(f"{architecture}.attention.{key}", value) for key, value in more.items()),
    ]
    tensor = text("output") + struct.pack("<IQQIQ", 2, 8, 8, 0, tensor_bytes // 2)
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor + bytes(tensor_bytes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())
    return path


def test_the_cache_of_a_sequence_is_reckoned_from_the_header(file: Path) -> None:
    assert read_header(file).cache_bytes(1000) == 512 * 6 * 1000


def test_gemmas_sliding_window_layers_hold_only_their_window(tmp_path: Path) -> None:
    path = tmp_path / "gemma.gguf"
    path.write_bytes(gguf(architecture="gemma3", layers=12, sliding_window=1024))
    assert read_header(path).cache_bytes(32768) == 512 * (2 * 32768 + 10 * (1024 + 512))


@given(at=st.integers(min_value=0))
def test_a_file_that_is_cut_anywhere_in_its_header_is_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    whole = gguf()
    path.write_bytes(whole[: at % (len(whole) - 64 * KIB)])
    with pytest.raises(CannotStart, match=r"cut\.gguf"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PK\x03\x04" + bytes(99), "not a GGUF"), (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9")],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(CannotStart, match=words):
        read_header(tmp_path / "x.gguf")


def test_a_download_that_stopped_early_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: -40 * KIB])
    with pytest.raises(CannotStart, match="cut short"):
        read_header(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="No such file"):
        read_header(tmp_path / "nothing.gguf")


def model(id_: str = "m") -> Model:
    price = Decimal(1)
    return Model(
        id=id_,
        name=id_,
        owner="o",
        created=0,
        context_tokens=1000,
        max_completion_tokens=10,
        prompt_usd_per_million=price,
        completion_usd_per_million=price,
        slots_per_copy=50,
        dialect="llama.cpp",
    )


@pytest.mark.parametrize(("sequences", "slots"), [(4.5, 4), (3.9, 2), (1.5, 1)])
def test_as_many_sequences_are_served_as_fit_in_memory(file: Path, sequences: float, slots: int) -> None:
    weights, cache = round(file.stat().st_size * 1.2), 512 * 6 * 1000
    available = weights + round(sequences * cache)
    [served] = choose_models([ModelFile(DEFAULT_MODEL, file)], {DEFAULT_MODEL: model()}, available_bytes=available)
    assert served.slots == slots


def test_a_model_that_does_not_fit_at_all_is_refused_with_both_numbers(file: Path) -> None:
    with pytest.raises(CannotStart, match=r"needs about 0\.0 GB .* 0\.0 GB are free"):
        choose_models([ModelFile(DEFAULT_MODEL, file)], {DEFAULT_MODEL: model()}, available_bytes=1000)


def test_a_second_model_gets_what_the_first_one_leaves(file: Path) -> None:
    files = [ModelFile(DEFAULT_MODEL, file), ModelFile("m", file)]
    cache = 512 * 6 * 1000
    available = 2 * round(file.stat().st_size * 1.2) + 5 * cache
    first, second = choose_models(files, {DEFAULT_MODEL: model(), "m": model()}, available_bytes=available)
    assert (first.slots, second.slots) == (4, 1)


def test_a_model_outside_the_catalogue_is_refused(file: Path) -> None:
    with pytest.raises(CannotStart, match="names mistral, which is not in the catalogue"):
        choose_models([ModelFile("mistral", file)], load_catalogue().models, available_bytes=None)


def test_free_memory_is_read_where_the_system_tells_it(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       10 kB\nMemAvailable:    3 kB\n")
    assert available_memory(tmp_path / "meminfo") == 3 * KIB
    assert available_memory(tmp_path / "nothing") is None


def test_model_paths_name_files_and_projectors(tmp_path: Path) -> None:
    text_ = f"a={tmp_path}/a.gguf, b={tmp_path}/b.gguf+{tmp_path}/p.gguf,"
    assert parse_model_paths(text_) == [
        ModelFile("a", tmp_path / "a.gguf"),
        ModelFile("b", tmp_path / "b.gguf", tmp_path / "p.gguf"),
    ]


@pytest.mark.parametrize("entry", ["model.gguf", "=x.gguf", "a=", "a=x+"])
def test_model_paths_that_cannot_be_read_are_refused(entry: str) -> None:
    with pytest.raises(CannotStart, match="MODEL_PATHS must read"):
        read_settings({"MODEL_PATHS": entry})


@pytest.mark.parametrize("port", ["http", "-1", "65536", "٣"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(CannotStart, match="PORT must be"):
        read_settings({"PORT": port})
