"""Whose keys sign: the environment's, a container host's on a real socket, or what botocore's chain finds."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound
from gateway.adapters.aws.wire.credentials import (
    LAST_S,
    RENEW_S,
    ChainCredentials,
    ContainerCredentials,
    FixedCredentials,
    source_of,
)
from gateway.adapters.aws.wire.errors import CredentialsUnavailable
from gateway.adapters.aws.wire.signing import Credentials

from infra.local.credentials import local_environment
from tests.support.clock import NOON_S, ManualClock
from tests.support.raw_server import RawServer, Visit, raw_server, whole
from tests.support.stack import borrowed_environment

pytestmark = pytest.mark.anyio
LIFE_S = 3600


class Host:
    """A container's host: gives keys that are new each time, and live an hour from `clock` on."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.given = 0
        self.heads: list[str] = []
        self.answers: list[bytes] = []
        """Played first, one each."""

    async def __call__(self, visit: Visit) -> None:
        request = await visit.request()
        assert request is not None
        self.heads.append(request.decode())
        if self.answers:
            await visit.send(self.answers.pop(0))
            return
        self.given += 1
        expiration = datetime.fromtimestamp(self.clock.now_s() + LIFE_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {
            "AccessKeyId": f"id{self.given}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": expiration,
        }
        await visit.send(whole(json.dumps(told).encode()))


def environment_of(server: RawServer, **more: str) -> dict[str, str]:
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/2021-08-23/credentials", **more}


async def test_keys_of_the_environment_come_before_everything_else() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    elsewhere = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/", "AWS_PROFILE": "other"}
    assert await source_of({**keys, **elsewhere}).now() == Credentials("id", "secret", None)
    assert await source_of({**keys, "AWS_SESSION_TOKEN": "t"}).now() == Credentials("id", "secret", "t")


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s"}, FixedCredentials),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x"}, ContainerCredentials),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x", "AWS_PROFILE": "p"}, ChainCredentials),
        ({"AWS_ACCESS_KEY_ID": "id"}, ChainCredentials),
        ({}, ChainCredentials),
    ],
)
def test_the_environment_chooses_the_source(environment: dict[str, str], kind: type) -> None:
    assert type(source_of(environment)) is kind


async def test_a_container_s_keys_are_kept_until_shortly_before_they_end_and_then_renewed() -> None:
    clock = ManualClock()
    host = Host(clock)
    async with raw_server(host) as server:
        source = ContainerCredentials(
            environment_of(server, AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer of this"), now_s=clock.now_s
        )
        assert await source.now() == Credentials("id1", "secret", "token", NOON_S + LIFE_S)
        clock.advance(LIFE_S - RENEW_S - 1)
        assert (await source.now()).access_key_id == "id1"
        clock.advance(1)
        assert (await source.now()).access_key_id == "id2"
    assert host.heads[0].startswith("GET /2021-08-23/credentials HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer of this\r\n" in host.heads[0]


async def test_a_token_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    clock = ManualClock()
    host = Host(clock)
    file = tmp_path / "token"
    async with raw_server(host) as server:
        environment = environment_of(server, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(file))
        source = ContainerCredentials(environment, now_s=clock.now_s)
        for token in ("first", "second"):
            file.write_text(token)
            await source.now()
            assert f"\r\nAuthorization: {token}\r\n" in host.heads[-1]
            clock.advance(LIFE_S)
        file.write_text("a\r\nX-Header: b")
        with pytest.raises(CredentialsUnavailable, match="line break"):
            await source.now()
        file.unlink()
        with pytest.raises(CredentialsUnavailable, match="token"):
            await source.now()
    assert len(host.heads) == 2


async def test_while_one_caller_renews_the_others_go_on_with_what_is_still_good() -> None:
    clock = ManualClock()
    host = Host(clock)
    go = asyncio.Event()

    async def slow(visit: Visit) -> None:
        if host.given:
            await go.wait()
        await host(visit)

    async with raw_server(slow) as server:
        source = ContainerCredentials(environment_of(server), now_s=clock.now_s)
        await source.now()
        clock.advance(LIFE_S - RENEW_S)
        renewing = asyncio.create_task(source.now())
        while len(server.visits) < 2:
            await asyncio.sleep(0)
        assert [(await source.now()).access_key_id for _ in range(50)] == ["id1"] * 50
        go.set()
        assert (await renewing).access_key_id == "id2"
        assert (await source.now()).access_key_id == "id2"
    assert host.given == 2


async def test_a_host_that_fails_is_asked_again_and_good_keys_outlast_it() -> None:
    clock = ManualClock()
    host = Host(clock)
    failure = whole(b"", status=b"500 Internal Server Error")
    async with raw_server(host) as server:
        source = ContainerCredentials(environment_of(server), now_s=clock.now_s)
        host.answers = [failure, b"HTTP/1.1 200 OK\r\nContent-"]
        assert (await source.now()).access_key_id == "id1"
        clock.advance(LIFE_S - RENEW_S)
        host.answers = [failure] * 3
        assert (await source.now()).access_key_id == "id1"
        clock.advance(RENEW_S - LAST_S)
        host.answers = [failure] * 3
        with pytest.raises(CredentialsUnavailable, match="500"):
            await source.now()
        assert (await source.now()).access_key_id == "id2"


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"no", status=b"403 Forbidden"),
        whole(b"{}"),
        whole(b"[]"),
        whole(b"<html>"),
        whole(b'{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"soon"}'),
    ],
)
async def test_a_host_that_gives_no_keys_says_so_without_being_asked_again(answer: bytes) -> None:
    host = Host(ManualClock())
    host.answers = [answer]
    async with raw_server(host) as server:
        with pytest.raises(CredentialsUnavailable):
            await ContainerCredentials(environment_of(server)).now()
    assert len(host.heads) == 1


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:9001/2021-08-23/credentials", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://169.254.170.2/x", True),
        ("http://169.254.170.23/v1/credentials", True),
        ("http://[fd00:ec2::23]/v1/credentials", True),
        ("https://anywhere.example/x", True),
        ("http://anywhere.example/x", False),
        ("http://169.254.169.254/x", False),
        ("http://10.0.0.1/x", False),
        ("nonsense", False),
    ],
)
def test_a_token_is_told_without_tls_only_to_hosts_of_aws(url: str, allowed: bool) -> None:
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}
    if allowed:
        ContainerCredentials(environment)
        return
    with pytest.raises(CredentialsUnavailable):
        ContainerCredentials(environment)


async def test_everything_else_is_botocore_s_to_find(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[mine]\naws_access_key_id = from-a-file\naws_secret_access_key = s\naws_session_token = t\n")
    plain = {name: value for name, value in local_environment({}).items() if "ACCESS_KEY" not in name}
    with borrowed_environment({**plain, "AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "mine"}):
        source = ChainCredentials()
        assert await source.now() == Credentials("from-a-file", "s", "t")
        assert await source.now() == Credentials("from-a-file", "s", "t")
    with borrowed_environment({**plain, "AWS_PROFILE": "nobody"}), pytest.raises(ProfileNotFound):
        await ChainCredentials().now()
    with borrowed_environment(plain), pytest.raises(NoCredentialsError):
        await ChainCredentials().now()
