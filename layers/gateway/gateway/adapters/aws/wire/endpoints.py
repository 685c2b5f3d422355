"""Where a service answers: what the environment names, else AWS's public hostname in the region.

Held against botocore's own table of endpoints by `tests/unit/test_wire_endpoints.py`.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from gateway.adapters.aws.wire.errors import NoRegion, UnknownEndpoint
from gateway.adapters.aws.wire.pool import Origin

_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "eusc-": "amazonaws.eu",
}
"""The DNS suffix of a partition that is not AWS's own, by how its regions' names begin."""
_VARIANTS = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Service:
    """A service as it is called: its variable's ending, its name in signatures, the first part of its hostname."""

    variable: str
    signing_name: str
    prefix: str


SERVICES = {
    "dynamodb": Service("DYNAMODB", "dynamodb", "dynamodb"),
    "sagemaker-runtime": Service("SAGEMAKER_RUNTIME", "sagemaker", "runtime.sagemaker"),
}


def url_of(service: Service, environment: Mapping[str, str], region: str) -> str:
    """The service's URL. Raises NoRegion, UnknownEndpoint."""
    if not region:
        raise NoRegion
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        for variable in (f"AWS_ENDPOINT_URL_{service.variable}", "AWS_ENDPOINT_URL"):
            if environment.get(variable):
                return environment[variable]
    for variable in _VARIANTS:
        if environment.get(variable, "").lower() == "true":
            raise UnknownEndpoint(f"{variable} is set: name the endpoint in AWS_ENDPOINT_URL_{service.variable}.")
    suffixes = [suffix for begin, suffix in _SUFFIXES.items() if region.startswith(begin)]
    return f"https://{service.prefix}.{region}.{suffixes[0] if suffixes else 'amazonaws.com'}"


def origin_of(url: str, environment: Mapping[str, str]) -> tuple[Origin, str, str]:
    """Where to connect for a URL, the `Host` header of its requests, and the path that theirs begin with.

    Raises UnknownEndpoint for what is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnknownEndpoint(f"{url!r:.200} is no endpoint.")
    tls = _tls(environment.get("AWS_CA_BUNDLE")) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    return Origin(parts.hostname, port, tls), parts.netloc.rpartition("@")[2], parts.path.rstrip("/")


@cache
def _tls(bundle: str | None) -> ssl.SSLContext:
    """One for the process: reading the system's authorities takes longer than most requests."""
    return ssl.create_default_context(cafile=bundle)
