"""Signature Version 4 against botocore's own signer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from gateway.adapters.aws.wire.signing import Credentials, Signer
from hypothesis import example, given
from hypothesis import strategies as st

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
KEYS = st.text(st.sampled_from("ABCabc019/+="), min_size=1, max_size=40)
SEGMENT = st.text(st.sampled_from("abzAZ09-._~%:@!$&'()*+,;= é☃"), max_size=8)
PATHS = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))
QUERIES = st.lists(
    st.tuples(st.text(st.sampled_from("abzAZ09-._~%+"), max_size=5), st.text(st.sampled_from("abz09%=+~"), max_size=5)),
    max_size=5,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
NAMES = st.from_regex(r"x-[a-zA-Z][a-zA-Z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("x-am")
)
VALUES = st.text(PRINTABLE, max_size=30)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5).filter(lambda found: len({n.lower() for n in found}) == len(found))
MOMENTS = st.integers(0, 4_102_444_800)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is signed, and when."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    now_s: int


def signed_by_botocore(credentials: Credentials, request: Request, *, region: str, service: str) -> str:
    """botocore's Authorization header at this moment."""
    keys = BotocoreCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    signer = SigV4Auth(keys, service, region)
    url = f"http://host.example{request.path}?{request.query}"
    sent = AWSRequest("POST", url, headers=request.headers, data=request.body)
    sent.context["timestamp"] = datetime.fromtimestamp(request.now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(sent)
    to_sign = signer.string_to_sign(sent, signer.canonical_request(sent))
    signer._inject_signature_to_request(sent, signer.signature(to_sign, sent))
    return str(sent.headers["Authorization"])


@given(
    keys=st.builds(Credentials, KEYS, KEYS, st.none() | KEYS),
    request=st.builds(Request, path=PATHS, query=QUERIES, headers=HEADERS, body=st.binary(max_size=200), now_s=MOMENTS),
    region=st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"]),
    service=st.sampled_from(["dynamodb", "sagemaker"]),
)
@example(
    keys=Credentials("AKID", "secret", "token"),
    request=Request(
        path="/endpoints/a%20b/./x/../invocations-response-stream/",
        query="b=2&a=1&a=0&c",
        headers={"x-Spaces": "  a   b "},
        body=b"",
        now_s=0,
    ),
    region="us-east-1",
    service="sagemaker",
)
def test_what_we_sign_is_what_botocore_signs(keys: Credentials, request: Request, region: str, service: str) -> None:
    sent = replace(request, headers={"Host": "host.example", **request.headers})
    ours = Signer(service=service, region=region).sign(keys, method="POST", **asdict(sent))
    assert ours["authorization"] == signed_by_botocore(keys, sent, region=region, service=service)
    assert ours.get("x-amz-security-token") == keys.session_token
    assert {name: ours[name.lower()] for name in sent.headers} == sent.headers


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), MOMENTS), min_size=2, max_size=6))
def test_a_kept_key_is_never_another_day_s_or_another_secret_s(turns: list[tuple[str, int]]) -> None:
    kept = Signer(service="dynamodb", region="us-east-1")
    for secret, now_s in turns:
        request = {"method": "POST", "path": "/", "headers": {"host": "h"}, "body": b"", "now_s": now_s}
        fresh = Signer(service="dynamodb", region="us-east-1")
        assert kept.sign(Credentials("id", secret), **request) == fresh.sign(Credentials("id", secret), **request)
