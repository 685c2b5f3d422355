"""What keeps data: the table, the queues; and the list of all that a stack contains."""

from __future__ import annotations

import pytest

from tests.infra.transformed import ROOT, resources, source, stable_id, transformed

TABLE = resources(transformed(), "AWS::DynamoDB::Table")["Table"]
QUEUES = resources(transformed(), "AWS::SQS::Queue")


def test_the_table_is_keyed_as_the_ledger_reads_it() -> None:
    assert TABLE["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert {a["AttributeName"]: a["AttributeType"] for a in TABLE["AttributeDefinitions"]} == {
        "pk": "S",
        "sk": "S",
        "kind": "S",
    }


def test_items_of_a_kind_are_found_by_their_keys_only() -> None:
    (index,) = TABLE["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by-kind"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["kind", "pk"]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_table_costs_nothing_at_rest_and_forgets_by_itself() -> None:
    assert TABLE["BillingMode"] == "PAY_PER_REQUEST"
    assert TABLE["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_table_survives_mistakes() -> None:
    resource = transformed()["Resources"]["Table"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert TABLE["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert TABLE["SSESpecification"] == {"SSEEnabled": True}
    assert TABLE["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert transformed()["Parameters"]["DeletionProtection"]["Default"] == "true"


def test_whoever_bills_can_read_new_usage_from_the_stream() -> None:
    assert TABLE["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_a_settlement_that_fails_again_and_again_is_kept_for_a_person() -> None:
    redrive = QUEUES["OutboxQueue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["OutboxDeadLetterQueue", "Arn"]}
    attempts_s = redrive["maxReceiveCount"] * QUEUES["OutboxQueue"]["VisibilityTimeout"]
    assert attempts_s >= 3600


def test_a_settlement_under_way_is_not_given_to_a_second_worker() -> None:
    worker = resources(transformed(), "AWS::Lambda::Function")["OutboxFunction"]
    assert QUEUES["OutboxQueue"]["VisibilityTimeout"] >= 6 * worker["Timeout"]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_encrypted_and_keeps_messages_as_long_as_sqs_can(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True
    assert QUEUES[queue]["MessageRetentionPeriod"] == 14 * 24 * 3600


@pytest.mark.parametrize("template", ["template", "infra/alarms", "infra/dashboard", "infra/waf"])
def test_a_stack_contains_what_was_reviewed(template: str) -> None:
    stack = transformed() if template == "template" else source(f"{template}.yaml")
    listed = sorted(f"{stable_id(name)}: {resource['Type']}" for name, resource in stack["Resources"].items())
    snapshot = ROOT / "tests/infra/snapshots" / f"{template.removeprefix('infra/')}.txt"
    assert listed == snapshot.read_text("utf-8").splitlines()
