"""`studiolm-admin models stage`: from a hub that speaks the hub's protocol into moto's S3."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.weights import S3WeightsBucket
from gateway.adapters.hub import HuggingFaceHub
from gateway.application.staging import CannotStage, StageWeights
from gateway.domain.weights import WeightsFile

from tests.cli.conftest import Operator
from tests.support.fake_hub import NAME, REPOSITORY, FakeHub, git_id, run_hub

MIB = 1024 * 1024
PART = 5 * MIB
"""The least that S3 takes of any part but the last."""
CONTENT = hashlib.shake_256(b"weights").digest(12 * MIB + 345)
KEY = f"m/{NAME}"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with run_hub() as hub:
        hub.content = CONTENT
        yield hub


@dataclass
class Staging:
    """The use case on a bucket of its own, and what is sent to S3."""

    hub: FakeHub
    name: str
    clients: Clients = field(default_factory=Clients)
    sent: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3 = self.clients.get("s3")
        self.s3.meta.events.register("before-parameter-build.s3.UploadPart", self._note)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.sent.append(params["PartNumber"])

    def __call__(self, *names: str, create_bucket: bool = True) -> list[str]:
        hub = HuggingFaceHub(base_url=self.hub.url, token=None, pause_s=0)
        stage = StageWeights(hub, S3WeightsBucket(self.clients, self.name), self._tell, PART)
        return stage(repository=REPOSITORY, names=names, prefix="m", create_bucket=create_bucket)

    def _tell(self, file: WeightsFile, come_bytes: int) -> None:
        assert come_bytes <= file.size_bytes
        self.told.append(come_bytes)

    def object(self, key: str = KEY) -> bytes:
        content: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def keys(self) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def uploads(self) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]


@pytest.fixture
def staging(hub: FakeHub, operator: Operator, request: pytest.FixtureRequest) -> Staging:
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:32]
    return Staging(hub, f"weights-{name}")


def test_a_file_arrives_whole_in_parts_and_is_marked_with_its_checksum(staging: Staging) -> None:
    assert staging(NAME) == [KEY]
    assert staging.object() == CONTENT
    assert sorted(staging.sent) == [1, 2, 3]
    assert staging.s3.get_object_tagging(Bucket=staging.name, Key=KEY)["TagSet"] == [
        {"Key": "sha256", "Value": hashlib.sha256(CONTENT).hexdigest()}
    ]
    assert staging.told[-1] == len(CONTENT)
    assert staging.uploads() == []


def test_what_is_there_is_neither_read_nor_sent_again(staging: Staging, hub: FakeHub) -> None:
    staging(NAME)
    hub.seen.clear()
    staging.sent.clear()
    staging(NAME)
    assert (hub.store_ranges(), staging.sent) == ([], [])


def test_another_version_at_the_hub_takes_the_place_of_the_old_one(staging: Staging, hub: FakeHub) -> None:
    staging(NAME)
    hub.content = CONTENT[::-1]
    staging(NAME)
    assert staging.object() == CONTENT[::-1]


def test_a_cut_connection_is_taken_up_where_it_broke(staging: Staging, hub: FakeHub) -> None:
    hub.cuts = [PART + 1, 3]
    staging(NAME)
    assert staging.object() == CONTENT
    assert hub.store_ranges() == ["bytes=0-", f"bytes={PART + 1}-", f"bytes={PART + 4}-"]


def test_a_stopped_run_is_gone_on_with_and_its_parts_are_not_sent_again(staging: Staging, hub: FakeHub) -> None:
    hub.cuts = [2 * PART + 7, *[0] * 20]
    with pytest.raises(CannotStage, match="run this again"):
        staging(NAME)
    assert sorted(staging.sent) == [1, 2]
    assert (staging.uploads(), staging.keys()) == ([KEY], [])
    hub.cuts = []
    staging.sent.clear()
    staging(NAME)
    assert staging.sent == [3]
    assert staging.object() == CONTENT
    assert staging.uploads() == []


def test_parts_of_an_older_version_are_not_taken_for_the_new_ones(staging: Staging, hub: FakeHub) -> None:
    hub.cuts = [2 * PART + 7, *[0] * 20]
    with pytest.raises(CannotStage):
        staging(NAME)
    hub.cuts = []
    hub.content = CONTENT[:PART] + CONTENT[:PART][::-1] + CONTENT[2 * PART :]
    staging.sent.clear()
    staging(NAME)
    assert sorted(staging.sent) == [2, 3]
    assert staging.object() == hub.content


def test_content_with_another_checksum_never_becomes_an_object(staging: Staging, hub: FakeHub) -> None:
    hub.told_sha256 = "0" * 64
    with pytest.raises(CannotStage, match="checksum"):
        staging(NAME)
    assert (staging.keys(), staging.uploads()) == ([], [])


def test_all_files_of_a_repository_are_staged_with_what_git_calls_the_small_ones(
    staging: Staging, hub: FakeHub
) -> None:
    hub.small = {"config.json": b'{"dtype": "bfloat16"}', "empty.txt": b"", "extra/vocab.json": b"{}"}
    hub.page = 2
    keys = staging()
    assert keys == ["m/config.json", "m/empty.txt", "m/extra/vocab.json", f"m/{NAME}"]
    for name, content in hub.small.items():
        assert staging.object(f"m/{name}") == content
        assert staging.s3.get_object_tagging(Bucket=staging.name, Key=f"m/{name}")["TagSet"] == [
            {"Key": "git-sha1", "Value": git_id(content)}
        ]
    staging.sent.clear()
    assert staging() == keys
    assert staging.sent == []


def test_a_bucket_is_made_only_where_that_is_asked_for_and_is_closed(staging: Staging) -> None:
    with pytest.raises(CannotStage, match="--create-bucket"):
        staging(NAME, create_bucket=False)
    staging(NAME)
    closed = staging.s3.get_public_access_block(Bucket=staging.name)["PublicAccessBlockConfiguration"]
    assert set(closed.values()) == {True}
    staging(NAME, create_bucket=False)


def test_a_bucket_that_sagemaker_could_not_read_is_refused(
    staging: Staging, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    staging.s3.create_bucket(Bucket=staging.name, **elsewhere)
    with pytest.raises(CannotStage, match="is in eu-west-1, and SageMaker in us-east-1"):
        staging(NAME)
    assert hub.store_ranges() == []


def test_the_command_stages_what_the_catalogue_names_or_another_repository(
    staging: Staging, hub: FakeHub, operator: Operator
) -> None:
    hub.small = {"config.json": b"{}"}
    options = ("--bucket", staging.name, "--create-bucket", "--hub", hub.url)
    lines = operator.output("models", "stage", "gemma-3-4b-it-qat", *options, "--repository", REPOSITORY).splitlines()
    assert lines == [f"STAGED=s3://{staging.name}/gemma-3-4b-it-qat/{name}" for name in ("config.json", NAME)]
    assert staging.object(f"gemma-3-4b-it-qat/{NAME}") == CONTENT
    sentence = operator.refusal("models", "stage", "gemma-3-4b-it-qat", *options)
    assert sentence.startswith("There is no gemma-3-4b-it-q4_0.gguf at")


def test_a_gated_model_says_what_to_accept_and_the_token_of_the_environment_opens_it(
    staging: Staging, hub: FakeHub, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_right"
    command = ("models", "stage", "gemma-3-4b-it-qat", "--bucket", staging.name, "--create-bucket", "--hub", hub.url)
    assert "accept its licence" in operator.refusal(*command, "--repository", REPOSITORY)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert "STAGED=" in operator.output(*command, "--repository", REPOSITORY)
    assert hub.authorized_stores == 0


@pytest.mark.parametrize(
    ("model", "words"), [("no-such-model", "no model no-such-model"), ("smollm2-135m-instruct", "--repository")]
)
def test_a_model_without_weights_at_a_hub_is_one_sentence(operator: Operator, model: str, words: str) -> None:
    assert words in operator.refusal("models", "stage", model, "--bucket", "any-bucket")


def test_nobody_is_asked_for_a_stack(staging: Staging, hub: FakeHub, operator: Operator) -> None:
    options = ("--bucket", staging.name, "--create-bucket", "--hub", hub.url, "--repository", REPOSITORY)
    assert "STAGED=" in operator.output("--stack", "not-deployed", "models", "stage", "gemma-3-4b-it-qat", *options)
    assert "AWS_ENDPOINT_URL" in os.environ
