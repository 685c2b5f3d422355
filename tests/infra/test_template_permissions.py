"""What each function may do: everything it needs, on the resource it needs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.transformed import resources, transformed

ROLES = {
    name: role
    for name, role in resources(transformed(), "AWS::IAM::Role").items()
    if role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
}

# Actions that AWS lets nobody restrict to a resource.
WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

TABLE = "Table.Arn"
INDEX = "${Table.Arn}/index/by-kind"
OUTBOX = "OutboxQueue.Arn"
INTAKE = "IntakeQueue.Arn"
REQUESTS = "RequestsQueue.Arn"
CALLBACKS = "CallbacksQueue.Arn"
JOBS = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-jobs-*"
BUCKET = "Blobs.Arn"
BUS = "Bus.Arn"
ENDPOINTS = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/${AWS::StackName}-*"
COMPONENTS = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:inference-component/${AWS::StackName}-*"


def pairs(*resources: str, actions: str) -> set[tuple[str, str]]:
    """Each of `service:Action Action` on each resource."""
    service, names = actions.split(":")
    return {(f"{service}:{name}", resource) for name in names.split() for resource in resources}


INVOKE = pairs(ENDPOINTS, COMPONENTS, actions="sagemaker:InvokeEndpoint InvokeEndpointWithResponseStream")
RECEIVE = "sqs:ReceiveMessage DeleteMessage GetQueueAttributes"
# A transaction needs the permissions of its parts.
SETTLE = "dynamodb:GetItem PutItem UpdateItem ConditionCheckItem"

# Beside its own log group and X-Ray.
MAY = {
    "ChatRole": pairs(TABLE, actions=SETTLE)
    | pairs(OUTBOX, actions="sqs:SendMessage")
    | pairs(BUS, actions="events:PutEvents")
    | INVOKE,
    "AccountRole": pairs(TABLE, actions=f"{SETTLE} DeleteItem Query")
    | pairs(JOBS, INTAKE, CALLBACKS, actions="sqs:SendMessage")
    | pairs("${Blobs.Arn}/files/*", "${Blobs.Arn}/jobs/*", actions="s3:GetObject PutObject DeleteObject")
    | pairs(BUCKET, actions="s3:ListBucket"),
    "OutboxRole": pairs(TABLE, actions=SETTLE) | pairs(OUTBOX, actions=RECEIVE),
    "UpkeepRole": pairs(TABLE, actions=f"{SETTLE} BatchGetItem Query")
    | pairs(INDEX, actions="dynamodb:Query")
    | pairs(INTAKE, actions="sqs:SendMessage")
    | pairs(BUS, actions="events:PutEvents")
    | pairs(ENDPOINTS, actions="sagemaker:DescribeEndpoint")
    | pairs(COMPONENTS, actions="sagemaker:DescribeInferenceComponent UpdateInferenceComponentRuntimeConfig"),
    "WorkerRole": pairs(TABLE, actions=f"{SETTLE} Query")
    | pairs(JOBS, actions=f"{RECEIVE} SendMessage")
    | pairs(INTAKE, CALLBACKS, OUTBOX, actions="sqs:SendMessage")
    | pairs("${Blobs.Arn}/jobs/*", actions="s3:GetObject PutObject")
    | pairs(BUCKET, actions="s3:ListBucket")
    | pairs(BUS, actions="events:PutEvents")
    | INVOKE,
    "IntakeRole": pairs(TABLE, actions=f"{SETTLE} Query")
    | pairs(INTAKE, REQUESTS, actions=RECEIVE)
    | pairs(JOBS, INTAKE, CALLBACKS, "IntakeDeadLetterQueue.Arn", actions="sqs:SendMessage")
    | pairs("${Blobs.Arn}/*", actions="s3:GetObject PutObject DeleteObject AbortMultipartUpload")
    | pairs(BUCKET, actions="s3:ListBucket")
    | pairs(BUS, actions="events:PutEvents"),
    "CallbackRole": pairs(TABLE, actions="dynamodb:GetItem")
    | pairs(CALLBACKS, actions=f"{RECEIVE} SendMessage")
    | pairs("${Blobs.Arn}/jobs/*", actions="s3:GetObject")
    | pairs(BUCKET, actions="s3:ListBucket"),
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


def test_whoever_else_has_a_role_may_do_one_thing() -> None:
    others = {name: role for name, role in resources(transformed(), "AWS::IAM::Role").items() if name not in ROLES}
    assert sorted(others) == ["ApiLogsRole", "PipesRole"]
    (policy,) = others["PipesRole"]["Policies"]
    allowed = {
        (action, named(resource))
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    assert allowed == pairs("Table.StreamArn", actions="dynamodb:DescribeStream GetRecords GetShardIterator") | {
        ("dynamodb:ListStreams", "*"),
        ("events:PutEvents", BUS),
        ("sqs:SendMessage", "PipesDeadLetterQueue.Arn"),
    }


def test_who_searches_reads_one_secret_and_only_where_there_is_one() -> None:
    policy = transformed()["Resources"]["SearchSecretPolicy"]
    assert policy["Condition"] == "HasSearchSecret"
    assert policy["Properties"]["Roles"] == [{"Ref": "ChatRole"}, {"Ref": "WorkerRole"}]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Resource"] == {"Ref": "SearchSecretArn"}
