"""Endpoints: AWS's public names in every region that botocore knows, and what the environment says instead."""

from __future__ import annotations

import os

import botocore.session
import pytest
from gateway.adapters.aws.wire.endpoints import SERVICES, origin_of, url_of
from gateway.adapters.aws.wire.errors import NoRegion, UnknownEndpoint

TABLE = SERVICES["dynamodb"]


@pytest.mark.parametrize("service", SERVICES)
def test_in_every_region_of_every_partition_it_is_botocore_s_endpoint(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    session = botocore.session.get_session()
    partitions = session.get_available_partitions()
    assert "aws-cn" in partitions
    assert "aws-us-gov" in partitions
    seen = 0
    for partition in partitions:
        for region in session.get_available_regions(service, partition_name=partition):
            client = session.create_client(
                service, region_name=region, aws_access_key_id="id", aws_secret_access_key="key"
            )
            assert url_of(SERVICES[service], {}, region) == client.meta.endpoint_url
            client.close()
            seen += 1
    assert seen > 30


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://own", "AWS_ENDPOINT_URL": "http://all"}, "http://own"),
        ({"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://other", "AWS_ENDPOINT_URL": "http://all"}, "http://all"),
        ({"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://other"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        (
            {"AWS_ENDPOINT_URL": "http://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": "http://all"}, "http://all"),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, "https://dynamodb.eu-west-1.amazonaws.com"),
    ],
)
def test_the_environment_s_own_word_comes_first(environment: dict[str, str], expected: str) -> None:
    assert url_of(TABLE, environment, "eu-west-1") == expected


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_a_variant_whose_name_is_not_known_is_refused_and_not_silently_another(variable: str) -> None:
    with pytest.raises(UnknownEndpoint, match=f"{variable}.*AWS_ENDPOINT_URL_DYNAMODB"):
        url_of(TABLE, {variable: "true"}, "us-east-1")


def test_without_a_region_there_is_nobody_to_call() -> None:
    with pytest.raises(NoRegion):
        url_of(TABLE, {}, "")


@pytest.mark.parametrize(
    ("url", "host", "port", "told", "path", "tls"),
    [
        ("https://dynamodb.us-east-1.amazonaws.com", "dynamodb.us-east-1.amazonaws.com", 443, None, "", True),
        ("http://127.0.0.1:4566/", "127.0.0.1", 4566, "127.0.0.1:4566", "", False),
        ("http://[::1]:8000/base/", "::1", 8000, "[::1]:8000", "/base", False),
        ("http://localhost", "localhost", 80, None, "", False),
    ],
)
def test_a_url_is_where_to_connect_and_how_to_ask(
    url: str, host: str, port: int, told: str | None, path: str, tls: bool
) -> None:
    origin, header, base = origin_of(url, {})
    assert (origin.host, origin.port, header, base) == (host, port, told or host, path)
    assert (origin.tls is not None) == tls


@pytest.mark.parametrize("url", ["", "dynamodb", "ftp://host", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UnknownEndpoint):
        origin_of(url, {})
