"""AWS Signature Version 4, checked as AWS checks it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.local.engine_plug import Refusal
from infra.local.http_server import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK_SKEW = timedelta(minutes=5)


class SignatureCheck:
    """Refuses what is not signed with the given key, for the given service, within five minutes."""

    def __init__(
        self, credentials: Mapping[str, str], *, region: str, service: str, now: Callable[[], datetime]
    ) -> None:
        self._access_key_id = credentials["AWS_ACCESS_KEY_ID"]
        self._auth = SigV4Auth(Credentials(self._access_key_id, credentials["AWS_SECRET_ACCESS_KEY"]), service, region)
        self._scope = (region, service)
        self._now = now

    def verify(self, request: Request) -> None:
        """Raises Refusal (403) with the name and wording of AWS."""
        if "authorization" not in request.headers:
            raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        claim = _AUTHORIZATION.fullmatch(request.headers["authorization"])
        timestamp = request.headers.get("x-amz-date", "")
        if claim is None or not re.fullmatch(r"\d{8}T\d{6}Z", timestamp):
            raise Refusal(403, "IncompleteSignatureException", "The signature does not conform to AWS standards.")
        if claim["key"] != self._access_key_id:
            raise Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        if (claim["region"], claim["service"]) != self._scope or claim["date"] != timestamp[:8]:
            raise Refusal(
                403, "InvalidSignatureException", "Credential should be scoped to this region, service and date."
            )
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(self._now() - signed_at) > _CLOCK_SKEW:
            raise Refusal(403, "InvalidSignatureException", f"Signature expired: {timestamp} is not within 5 minutes.")
        if not hmac.compare_digest(self._expected(request, claim["headers"].split(";"), timestamp), claim["signature"]):
            raise Refusal(
                403,
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )

    def _expected(self, request: Request, signed_headers: list[str], timestamp: str) -> str:
        signed = AWSRequest(
            method=request.method,
            url=f"http://{request.headers.get('host', '')}{request.target}",
            headers={name: request.headers.get(name, "") for name in signed_headers},
            data=request.body,
        )
        signed.context["timestamp"] = timestamp
        to_sign = self._auth.string_to_sign(signed, self._auth.canonical_request(signed))
        return str(self._auth.signature(to_sign, signed))
