"""`models pull` against a loopback server that speaks the hub's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gateway.adapters.hub import HuggingFaceHub
from gateway.application.staging import CannotStage
from gateway.catalogue import load_catalogue

from infra.local.pull import pull_file, pull_model
from tests.support.fake_hub import CONTENT, NAME, REPOSITORY, FakeHub, run_hub


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with run_hub() as hub:
        yield hub


def pull(
    fake: FakeHub, directory: Path, *, token: str | None = None, repository: str = REPOSITORY, name: str = NAME
) -> Path:
    hub = HuggingFaceHub(base_url=fake.url, token=token, pause_s=0)
    return pull_file(hub, repository, name, directory=directory)


def test_a_file_arrives_whole_under_its_name(fake: FakeHub, tmp_path: Path) -> None:
    path = pull(fake, tmp_path / "models")
    assert path == tmp_path / "models" / NAME
    assert path.read_bytes() == CONTENT
    assert [each.name for each in path.parent.iterdir()] == [NAME]


def test_a_connection_cut_in_the_middle_is_taken_up_where_it_broke(fake: FakeHub, tmp_path: Path) -> None:
    fake.cuts = [300_000, 200_000]
    assert pull(fake, tmp_path).read_bytes() == CONTENT
    assert fake.store_ranges() == ["bytes=0-", "bytes=300000-", "bytes=500000-"]


def test_what_a_stopped_run_left_is_not_asked_for_again(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.{fake.sha256[:16]}.partial").write_bytes(CONTENT[:700_000])
    assert pull(fake, tmp_path).read_bytes() == CONTENT
    assert fake.store_ranges() == ["bytes=700000-"]


def test_a_store_without_ranges_is_read_from_the_start(fake: FakeHub, tmp_path: Path) -> None:
    fake.ranges, fake.cuts = False, [300_000]
    assert pull(fake, tmp_path).read_bytes() == CONTENT


def test_a_connection_that_never_gets_further_is_given_up(fake: FakeHub, tmp_path: Path) -> None:
    fake.cuts = [1000] + [0] * 20
    with pytest.raises(CannotStage, match="breaks again and again"):
        pull(fake, tmp_path)
    assert (tmp_path / f"{NAME}.{fake.sha256[:16]}.partial").stat().st_size == 1000


def test_content_with_another_checksum_is_deleted_and_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.told_sha256 = "0" * 64
    with pytest.raises(CannotStage, match="checksum"):
        pull(fake, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_loaded_again(fake: FakeHub, tmp_path: Path) -> None:
    pull(fake, tmp_path)
    fake.seen.clear()
    pull(fake, tmp_path)
    assert fake.store_ranges() == []


def test_a_renamed_repository_is_followed(fake: FakeHub, tmp_path: Path) -> None:
    assert pull(fake, tmp_path, repository="old/tiny-gguf").read_bytes() == CONTENT


def test_a_gated_repository_says_what_to_accept_and_the_token_opens_it(fake: FakeHub, tmp_path: Path) -> None:
    fake.token = "hf_right"
    with pytest.raises(CannotStage, match=rf"accept its licence at {fake.url}/{REPOSITORY} .* HF_TOKEN"):
        pull(fake, tmp_path)
    with pytest.raises(CannotStage, match="the account of HF_TOKEN"):
        pull(fake, tmp_path, token="hf_wrong")
    assert pull(fake, tmp_path, token="hf_right").read_bytes() == CONTENT


def test_the_token_stays_with_the_hub(fake: FakeHub, tmp_path: Path) -> None:
    fake.token = "hf_right"
    pull(fake, tmp_path, token="hf_right")
    assert fake.authorized_stores == 0


@pytest.mark.parametrize(("name", "words"), [("other.gguf", "There is no other.gguf"), ("README.md", "no checksum")])
def test_a_file_that_cannot_be_checked_is_not_downloaded(fake: FakeHub, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(CannotStage, match=words):
        pull(fake, tmp_path, name=name)


def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotStage, match="cannot be reached"):
        pull_file(HuggingFaceHub(base_url="http://127.0.0.1:9"), REPOSITORY, NAME, directory=tmp_path)


def test_a_pulled_model_tells_the_model_paths_entry_to_use(fake: FakeHub, tmp_path: Path) -> None:
    models = load_catalogue().models
    small = replace(models["gemma-3-4b-it-qat"], hub_repository=REPOSITORY, hub_file=NAME, hub_projector_file=NAME)
    hub = HuggingFaceHub(base_url=fake.url)
    entry = pull_model(hub, small, projector=True, directory=tmp_path)
    assert entry == f"gemma-3-4b-it-qat={tmp_path / NAME}+{tmp_path / NAME}"
    with pytest.raises(CannotStage, match="not on a hub"):
        pull_model(hub, models["smollm2-135m-instruct"], projector=False, directory=tmp_path)
