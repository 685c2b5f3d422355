"""What API Gateway is told: which path goes where, streamed or buffered, and what it answers by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.domain import errors
from hypothesis import given
from hypothesis import strategies as st

from tests.infra.transformed import resources, transformed

API: dict[str, Any] = resources(transformed(), "AWS::ApiGateway::RestApi")["Api"]
PATHS: dict[str, Any] = API["Body"]["paths"]
ANSWERS: dict[str, Any] = API["Body"]["x-amazon-apigateway-gateway-responses"]

STREAMED = ["/v1/chat/completions", "/v1/completions"]
BUFFERED = [
    "/",
    "/docs",
    "/events",
    "/health",
    "/openapi.json",
    "/v1/chat",
    "/v1/batches/batch_1/cancel",
    "/v1/chat/completions/events",
    "/v1/files/file_1/content",
    "/v1/jobs",
    "/v1/jobs/job_1",
    "/v1/keys",
    "/v1/keys/0001",
    "/v1/keys/0001/disable",
    "/v1/keys/0001/enable",
    "/v1/models",
    "/v1/models/gemma-3-12b-it-qat",
    "/v1/usage",
]


def operation(path: str) -> dict[str, Any]:
    """What API Gateway runs for a path: the exact one if there is, else the greedy one."""
    methods = PATHS.get(path) or PATHS["/{proxy+}"]
    assert list(methods) == ["x-amazon-apigateway-any-method"]
    integration: dict[str, Any] = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    return integration


def test_the_api_is_regional() -> None:
    assert API["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


@pytest.mark.parametrize("path", STREAMED)
def test_every_method_of_a_chat_path_streams_from_the_chat_function(path: str) -> None:
    assert path in PATHS
    assert operation(path)["type"] == "aws_proxy"
    assert operation(path)["responseTransferMode"] == "STREAM"
    assert operation(path)["uri"]["Fn::Sub"].endswith(
        ":lambda:path/2021-11-15/functions/${ChatFunctionAliaslive}/response-streaming-invocations"
    )


@pytest.mark.parametrize("path", BUFFERED)
def test_every_method_of_any_other_path_is_buffered_from_the_account_function(path: str) -> None:
    assert operation(path)["type"] == "aws_proxy"
    assert "responseTransferMode" not in operation(path)
    assert operation(path)["uri"]["Fn::Sub"].endswith(
        ":lambda:path/2015-03-31/functions/${AccountFunction.Arn}/invocations"
    )


@given(st.lists(st.sampled_from(["events", "v1", "chat", "completions", "..", "%2e", "Events", ""])))
def test_no_path_but_the_two_reaches_the_streaming_function(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    streams = operation(path).get("responseTransferMode") == "STREAM"
    assert streams == (path in STREAMED)


def test_the_stage_is_traced_measured_and_throttled() -> None:
    stage = resources(transformed(), "AWS::ApiGateway::Stage")["ApiStage"]
    assert stage["TracingEnabled"] is True
    assert stage["MethodSettings"] == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "MetricsEnabled": True,
            "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
            "ThrottlingBurstLimit": {"Ref": "RequestsBurst"},
        }
    ]


def test_uploads_reach_the_function_as_they_were_sent() -> None:
    assert API["BinaryMediaTypes"] == ["multipart~1form-data"]  # CloudFormation's spelling of a slash


def test_an_access_log_line_is_json_shows_how_it_streamed_and_never_a_key() -> None:
    setting = resources(transformed(), "AWS::ApiGateway::Stage")["ApiStage"]["AccessLogSetting"]
    line = json.loads(setting["Format"])
    assert setting["DestinationArn"] == {"Fn::GetAtt": ["ApiLogs", "Arn"]}
    assert {
        "$context.integration.responseTransferMode",
        "$context.integration.timeToAllHeaders",
        "$context.integration.timeToFirstContent",
        "$context.responseLatency",
    } <= set(line.values())
    assert not [value for value in line.values() if "header" in value.lower() and "AllHeaders" not in value]
    assert "$context.path" not in line.values(), "a client's own words could forge a line"


def test_a_domain_of_ones_own_serves_the_stage_at_its_root() -> None:
    mapping = resources(transformed(), "AWS::ApiGateway::BasePathMapping")["DomainMapping"]
    assert mapping == {"DomainName": {"Ref": "Domain"}, "RestApiId": {"Ref": "Api"}, "Stage": {"Ref": "ApiStage"}}
    domain = resources(transformed(), "AWS::ApiGateway::DomainName")["Domain"]
    assert domain["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_there_is_one_stage() -> None:
    assert list(resources(transformed(), "AWS::ApiGateway::Stage")) == ["ApiStage"]


def test_api_gateway_answers_by_itself_wherever_it_can() -> None:
    assert {
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "THROTTLED",
        "WAF_FILTERED",
        "REQUEST_TOO_LARGE",
        "MISSING_AUTHENTICATION_TOKEN",
        "INTEGRATION_TIMEOUT",
    } == set(ANSWERS)


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_api_gateway_answers_has_the_error_shape_and_its_own_status(kind: str) -> None:
    types = {
        error.status: error.type
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.GatewayError)
    }
    body = json.loads(ANSWERS[kind]["responseTemplates"]["application/json"])
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "code", "param"]
    assert body["error"]["message"].endswith(".")
    assert body["error"]["param"] is None
    assert str(body["error"]["code"]) == ANSWERS[kind]["statusCode"]
    assert body["error"]["type"] == types[body["error"]["code"]]


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_browser_and_a_support_desk_can_read_what_api_gateway_answers(kind: str) -> None:
    headers = ANSWERS[kind]["responseParameters"]
    assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
    assert headers["gatewayresponse.header.Access-Control-Expose-Headers"] == "'*'"
    assert headers["gatewayresponse.header.X-Request-Id"] == "context.requestId"


def test_a_throttled_client_is_told_when_to_come_back() -> None:
    assert ANSWERS["THROTTLED"]["responseParameters"]["gatewayresponse.header.Retry-After"] == "'1'"


def test_only_this_api_may_invoke_the_functions_behind_it() -> None:
    permissions = [
        permission
        for permission in resources(transformed(), "AWS::Lambda::Permission").values()
        if permission["FunctionName"]["Ref"] in {"ChatFunctionAliaslive", "AccountFunction"}
        and permission["SourceArn"] != {"Fn::GetAtt": ["SnapshotKeeper", "Arn"]}
    ]
    assert len(permissions) == len(PATHS)
    for permission in permissions:
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]["Fn::Sub"][1]["__ApiId__"] == {"Ref": "Api"}
