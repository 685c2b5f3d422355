"""The account that exists only on this machine, and the environment that keeps every real one out of reach."""

from __future__ import annotations

import os
from collections.abc import Mapping

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
STACK_NAME = "studiolm"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local-stack-only"}
_LOOPBACK = "127.0.0.1,localhost"


def local_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """`outer` without any way to a real AWS account, and with the local one.

    No profile, session, role, credentials file or metadata service is left; botocore would also send loopback
    calls through a configured proxy.
    """
    kept = {name: value for name, value in outer.items() if not name.startswith("AWS_") and name != "BOTO_CONFIG"}
    exempt = ",".join(filter(None, [outer.get("NO_PROXY") or outer.get("no_proxy"), _LOOPBACK]))
    return (
        kept
        | CREDENTIALS
        | {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": exempt,
            "no_proxy": exempt,
        }
    )
