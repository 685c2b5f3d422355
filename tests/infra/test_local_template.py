"""The loader of template.yaml, and the resources made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.local.credentials import ACCOUNT_ID, REGION
from infra.local.failure import CannotStart
from infra.local.functions import QueueSource, Route, RuleSource, Timer, period_of, read_functions
from infra.local.resources import Resources
from infra.local.settings import ROOT
from infra.local.template import Template, load_template
from tests.support.aws import environment_of
from tests.support.moto_process import empty, moto_process

TEMPLATE = """
Parameters:
  Size: {Type: Number, Default: 7}
  Secret: {Type: String}
Conditions:
  Big: !Equals [!Ref Size, 7]
  Small: !Not [!Condition Big]
Globals:
  Function: {Timeout: 9, Environment: {Variables: {TABLE: !Ref Table, SHARED: global}}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      SSESpecification: {SSEEnabled: true}
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 33
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 3}
  DeadLetters: {Type: AWS::SQS::Queue}
  Absent: {Type: AWS::SQS::Queue, Condition: Small}
  Bucket: {Type: AWS::S3::Bucket}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "${AWS::StackName}-bus"}}
  Chat:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/chat/
      Environment:
        Variables:
          SHARED: own
          QUEUE: !GetAtt Queue.QueueUrl
          BUCKET: !Sub ["${Name}/x", {Name: !Ref Bucket}]
          BUS: !GetAtt Bus.Arn
          SIZE: !If [Big, !Ref Size, 0]
          JOINED: !Join ["-", [a, !Ref AWS::Region]]
          NONE: !If [Small, x, !Ref AWS::NoValue]
      Events:
        Post: {Type: Api, Properties: {Path: /v1/x, Method: post}}
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 4
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: !Ref Size}
        Clock: {Type: Schedule, Properties: {Schedule: rate(2 hours)}}
        Rule: {Type: EventBridgeRule, Properties: {Pattern: {source: [x]}}}
        Own: {Type: EventBridgeRule, Properties: {EventBusName: !Ref Bus, Pattern: {detail: {name: [!Ref Bucket]}}}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return load_template(tmp_path / "template.yaml", region=REGION, account_id=ACCOUNT_ID, stack_name="studiolm")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_process() as url:
        yield url


@pytest.fixture
def resources(template: Template, moto: str) -> Iterator[Resources]:
    empty(moto)
    with environment_of(moto):
        yield Resources(template, stack_name="studiolm")


def test_every_data_resource_is_made_as_the_template_declares_it(resources: Resources) -> None:
    resources.make_all()
    table: dict[str, Any] = boto3.client("dynamodb").describe_table(TableName="studiolm-Table")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    ttl = boto3.client("dynamodb").describe_time_to_live(TableName="studiolm-Table")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    sqs = boto3.client("sqs")
    assert {url.rsplit("/", 1)[1] for url in sqs.list_queues()["QueueUrls"]} == {
        "studiolm-Queue",
        "studiolm-DeadLetters",
    }
    url = sqs.get_queue_url(QueueName="studiolm-Queue")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "33"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":studiolm-DeadLetters")
    assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["studiolm-bucket"]
    buses = boto3.client("events").list_event_buses()["EventBuses"]
    assert "studiolm-bus" in [bus["Name"] for bus in buses]


def test_a_function_gets_its_own_variables_over_the_global_ones_all_resolved(
    template: Template, resources: Resources
) -> None:
    [function] = read_functions(template, resources, root=Path("/project"))
    assert function.environment | {"QUEUE": "", "BUS": ""} == {
        "TABLE": "studiolm-Table",
        "SHARED": "own",
        "QUEUE": "",
        "BUCKET": "studiolm-bucket/x",
        "BUS": "",
        "SIZE": "7",
        "JOINED": f"a-{REGION}",
    }
    assert function.environment["QUEUE"].endswith("/studiolm-Queue")
    assert function.environment["BUS"] == f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/studiolm-bus"
    assert (function.folder, function.timeout_s) == ("/project/functions/chat", 9)


def test_a_functions_event_sources_are_read(template: Template, resources: Resources) -> None:
    [function] = read_functions(template, resources, root=Path("/project"))
    assert function.routes == (Route("POST", "/v1/x"),)
    assert function.queues == (
        QueueSource(arn=f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:studiolm-Queue", batch_size=4, partial=True, concurrency=7),
    )
    assert function.rules == (
        RuleSource("ChatRule", "default", '{"source": ["x"]}'),
        RuleSource("ChatOwn", "studiolm-bus", '{"detail": {"name": ["studiolm-bucket"]}}'),
    )
    assert function.timers == (Timer("ChatClock", 7200),)
    assert type(function).from_json(json.loads(json.dumps(function.as_json()))) == function


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"Ref": "Secret"}, "Secret of template.yaml has no default"),
        ({"Fn::GetAtt": ["Chat", "Arn"]}, "Chat.Arn"),
        ({"Fn::Cidr": ["10.0.0.0/8"]}, "Fn::Cidr"),
    ],
)
def test_what_cannot_be_resolved_is_named(template: Template, resources: Resources, node: Any, words: str) -> None:
    with pytest.raises(CannotStart, match=words):
        template.resolve(node, resources)


def test_a_dollar_that_is_escaped_stays(template: Template, resources: Resources) -> None:
    assert template.resolve({"Fn::Sub": "${!Literal} ${Size}"}, resources) == "${Literal} 7"


def test_a_schedule_that_is_no_rate_is_refused() -> None:
    assert period_of("rate(1 minute)") == 60
    with pytest.raises(CannotStart, match="cron"):
        period_of("cron(0 0 * * ? *)")


def test_a_missing_template_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read"):
        load_template(tmp_path / "template.yaml", region=REGION, account_id=ACCOUNT_ID, stack_name="s")


@pytest.mark.usefixtures("resources")
def test_the_products_template_can_be_made_and_names_the_functions_that_exist() -> None:
    product = load_template(ROOT / "template.yaml", region=REGION, account_id=ACCOUNT_ID, stack_name="studiolm")
    made = Resources(product, stack_name="studiolm")
    made.make_all()
    functions = read_functions(product, made, root=ROOT)
    assert all(Path(function.folder).is_dir() for function in functions)
    assert {function.environment["TABLE_NAME"] for function in functions} == {"studiolm-Table"}
