"""Known failures in one sentence with the remedy. What is not in these tables is a defect and shows its traceback."""

from __future__ import annotations

from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from gateway.adapters.aws.wire.errors import (
    AwsRefusal,
    CredentialsUnavailable,
    NoRegion,
    TransportFailed,
    UnknownEndpoint,
)
from gateway.application.staging import CannotStage
from gateway.domain.errors import GatewayError

_CREDENTIALS = (
    "choose a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
    "for the stack on this machine use --local."
)
_OUT_OF_REACH = "AWS is out of reach: check the network and --region, and try again."
_EXPIRED = "The AWS credentials have expired: sign in again (aws sso login, or new keys)."
_REFUSED = f"AWS does not accept these credentials: {_CREDENTIALS}"

_NO_REGION = "No AWS region is chosen: name it with --region, or use --local."

CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (NoRegion, _NO_REGION),
    (CredentialsUnavailable, f"The AWS credentials cannot be read: {_CREDENTIALS}"),
    (TransportFailed, _OUT_OF_REACH),
    (NoRegionError, _NO_REGION),
    (NoCredentialsError, f"There are no AWS credentials: {_CREDENTIALS}"),
    (PartialCredentialsError, f"The AWS credentials are not complete: {_CREDENTIALS}"),
    (ProfileNotFound, "There is no such AWS profile: `aws configure list-profiles` lists them."),
    (ConfigParseError, "The AWS configuration file cannot be read: mend ~/.aws/config."),
    (UnauthorizedSSOTokenError, _EXPIRED),
    (SSOError, _EXPIRED),
    (TokenRetrievalError, _EXPIRED),
    (CredentialRetrievalError, f"The AWS credentials cannot be read: {_CREDENTIALS}"),
    (BotocoreConnectionError, _OUT_OF_REACH),
    (HTTPClientError, _OUT_OF_REACH),
)
_DENIED = "These AWS credentials may not call {operation}: use ones that may."
_CODES = {
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _REFUSED,
    "InvalidSignatureException": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "UnrecognizedClientException": _REFUSED,
    "ResourceNotFoundException": "There is no such table in this region: check --table, --stack and --region.",
}


class CannotConnect(Exception):
    """There is no deployment to work on; the message is one sentence with the remedy."""


def explain(error: Exception) -> str | None:
    """The sentence for the operator, or None for a failure that is not known."""
    if isinstance(error, GatewayError):
        return _OUT_OF_REACH if error.reason == "ledger_unavailable" else error.message
    if isinstance(error, AwsRefusal):
        return _explain_refusal(error.code, error.operation)
    if isinstance(error, ClientError):
        return _explain_refusal(error.response["Error"]["Code"], error.operation_name)
    if isinstance(error, CannotConnect | CannotStage | UnknownEndpoint):
        return str(error)
    return next((sentence for kind, sentence in CAUSES if isinstance(error, kind)), None)


def _explain_refusal(code: str, operation: str) -> str | None:
    sentence = _CODES.get(code)
    return sentence.format(operation=operation) if sentence else None
