"""What each function may do: everything it needs, on the resource it needs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.transformed import resources, transformed

ROLES = resources(transformed(), "AWS::IAM::Role")

# Actions that AWS lets nobody restrict to a resource.
WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

TABLE = "Table.Arn"
INDEX = "${Table.Arn}/index/by-kind"
OUTBOX = "OutboxQueue.Arn"
ENDPOINTS = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/${AWS::StackName}-*"
COMPONENTS = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:inference-component/${AWS::StackName}-*"

# Beside its own log group and X-Ray. A transaction needs the permissions of its parts.
MAY = {
    "ChatRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("dynamodb:ConditionCheckItem", TABLE),
        ("sqs:SendMessage", OUTBOX),
        ("sagemaker:InvokeEndpoint", ENDPOINTS),
        ("sagemaker:InvokeEndpoint", COMPONENTS),
        ("sagemaker:InvokeEndpointWithResponseStream", ENDPOINTS),
        ("sagemaker:InvokeEndpointWithResponseStream", COMPONENTS),
    },
    "AccountRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("dynamodb:Query", TABLE),
    },
    "OutboxRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("dynamodb:ConditionCheckItem", TABLE),
        ("sqs:ReceiveMessage", OUTBOX),
        ("sqs:DeleteMessage", OUTBOX),
        ("sqs:GetQueueAttributes", OUTBOX),
    },
    "UpkeepRole": {
        ("dynamodb:GetItem", TABLE),
        ("dynamodb:BatchGetItem", TABLE),
        ("dynamodb:PutItem", TABLE),
        ("dynamodb:UpdateItem", TABLE),
        ("dynamodb:ConditionCheckItem", TABLE),
        ("dynamodb:Query", INDEX),
        ("sagemaker:DescribeEndpoint", ENDPOINTS),
        ("sagemaker:DescribeInferenceComponent", COMPONENTS),
        ("sagemaker:UpdateInferenceComponentRuntimeConfig", COMPONENTS),
    },
}


def listed(value: Any) -> list[Any]:
    """IAM lets a list of one stand without its brackets."""
    return value if isinstance(value, list) else [value]


def named(resource: Any) -> str:
    """A resource of a statement as one string."""
    if isinstance(resource, str):
        return resource
    (intrinsic, value) = next(iter(resource.items()))
    return value if intrinsic == "Fn::Sub" else ".".join(value)


def grants(role: str) -> set[tuple[str, str]]:
    """Every pair of action and resource that a role allows."""
    statements = [s for policy in ROLES[role]["Policies"] for s in policy["PolicyDocument"]["Statement"]]
    assert {s["Effect"] for s in statements} == {"Allow"}
    return {
        (action, named(resource))
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def test_each_function_has_a_role_of_its_own() -> None:
    used = [
        function["Role"]["Fn::GetAtt"][0] for function in resources(transformed(), "AWS::Lambda::Function").values()
    ]
    assert sorted(used) == sorted(MAY)
    assert sorted(ROLES) == sorted(MAY)


@pytest.mark.parametrize("role", MAY)
def test_a_role_allows_what_is_listed_here_and_nothing_else(role: str) -> None:
    logs = f"{role.removesuffix('Role')}Logs.Arn"
    own = {("logs:CreateLogStream", logs), ("logs:PutLogEvents", logs)}
    own |= {(action, "*") for action in WITHOUT_RESOURCES}
    assert grants(role) - own == MAY[role]
    assert own <= grants(role)


@pytest.mark.parametrize("role", ROLES)
def test_no_action_is_a_wildcard_and_no_resource_where_an_arn_exists(role: str) -> None:
    for action, resource in grants(role):
        assert "*" not in action
        assert (resource == "*") == (action in WITHOUT_RESOURCES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_no_policy_that_we_did_not_write(role: str) -> None:
    assert "ManagedPolicyArns" not in ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_only_lambda_may_take_a_role(role: str) -> None:
    (statement,) = ROLES[role]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
