"""Callbacks: what a client is sent when its job has ended, and how it can tell that we sent it.

Signed as Standard Webhooks does. The secret is one that both sides hold already: the SHA-256 of the API key that made
the job, which the client computes and we store.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from hmac import new as new_hmac
from urllib.parse import urlsplit

from gateway.domain.errors import InvalidRequest

PORTS = frozenset({443, 8443})
MAX_URL_CHARACTERS = 2048
RETRY_DELAYS_S = (10, 60, 300, 900)
"""Between one attempt and the next, in seconds; SQS delays a message by at most 900."""


def callback_headers(id_: str, body: bytes, *, key_hash: str, now_s: int) -> dict[str, str]:
    """The headers of a callback: its id, when it was signed, and the signature. `key_hash` is hex."""
    signed = b".".join((id_.encode(), str(now_s).encode(), body))
    signature = b64encode(new_hmac(bytes.fromhex(key_hash), signed, sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{signature}",
    }


def retry_delay_s(attempt: int) -> int | None:
    """Seconds to wait after this attempt (from 1) has failed; None where it was the last."""
    return RETRY_DELAYS_S[attempt - 1] if 1 <= attempt <= len(RETRY_DELAYS_S) else None


def check_callback_url(url: str) -> None:
    """Refuses what can be no callback. Whether its host is public is judged when it is called, and each time anew.

    Raises InvalidRequest.
    """
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme == "https"
            and bool(parts.hostname)
            and parts.username is None
            and parts.password is None
            and (parts.port or 443) in PORTS
            and len(url) <= MAX_URL_CHARACTERS
        )
    except ValueError:  # a port that is no number, a bracket that is not closed
        valid = False
    if not valid:
        raise InvalidRequest(
            f"'callback_url' must be an https URL on port 443 or 8443, without credentials, of at most "
            f"{MAX_URL_CHARACTERS} characters.",
            param="callback_url",
        )
