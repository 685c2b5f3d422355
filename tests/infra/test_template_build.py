"""The limits that a build is held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.build.revision import revision_of
from infra.build.sizes import complaints, main


def test_a_build_within_the_limits_is_not_complained_of() -> None:
    assert complaints({"DependenciesLayer": 200.0, "GatewayLayer": 10.0, "chat": 40.0}) == []


def test_layers_count_for_every_function() -> None:
    assert complaints({"DependenciesLayer": 200.0, "GatewayLayer": 20.0, "chat": 40.0, "account": 30.0}) == [
        "chat: 260 MB with its layers, Lambda takes 250 MB."
    ]


def test_a_function_is_small_without_its_layers() -> None:
    assert complaints({"chat": 51.0}) == ["chat: 51 MB without its layers, 50 MB is our limit."]


def test_sizes_are_printed_and_the_exit_status_is_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chat" / "deep").mkdir(parents=True)
    (tmp_path / "chat" / "deep" / "app.py").write_bytes(b"x" * 2_500_000)
    assert main([str(tmp_path / "chat")]) == 0
    assert capsys.readouterr().out.split() == ["chat", "2.50", "MB"]


def test_a_revision_tells_of_names_and_contents_and_of_nothing_else(tmp_path: Path) -> None:
    layer = tmp_path / "GatewayLayer"
    layer.mkdir()
    (layer / "a.py").write_text("1")
    first = revision_of([layer])
    (layer / "a.py").write_text("1")
    (layer / "a.py").chmod(0o600)
    assert revision_of([layer]) == first
    (layer / "a.py").write_text("2")
    second = revision_of([layer])
    (layer / "a.py").rename(layer / "b.py")
    assert len({first, second, revision_of([layer])}) == 3
