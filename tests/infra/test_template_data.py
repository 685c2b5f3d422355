"""What keeps data: the table, the queues, the bucket; and the list of all that a stack contains."""

from __future__ import annotations

import pytest
from gateway.catalogue import load_catalogue
from gateway.domain.jobs import KEPT_S

from tests.infra.transformed import ROOT, resources, source, stable_id, transformed

TABLE = resources(transformed(), "AWS::DynamoDB::Table")["Table"]
QUEUES = resources(transformed(), "AWS::SQS::Queue")
BUCKET = resources(transformed(), "AWS::S3::Bucket")["Blobs"]


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


JOBS = {name: queue for name, queue in QUEUES.items() if name.endswith("JobsQueue")}


def test_each_model_of_the_catalogue_has_a_queue_of_its_own_under_its_slug() -> None:
    names = {queue["QueueName"]["Fn::Sub"] for queue in JOBS.values()}
    slugs = {model.resource_slug for model in load_catalogue().models.values()}
    assert names == {"${AWS::StackName}-jobs-" + slug for slug in slugs}
    assert len(JOBS) == len(names)


@pytest.mark.parametrize("queue", [name for name in QUEUES if "DeadLetter" not in name])
def test_what_fails_again_and_again_is_kept_for_a_person(queue: str) -> None:
    kept = QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"]
    own = "JobsDeadLetterQueue" if queue in JOBS else queue.replace("Queue", "DeadLetterQueue")
    assert kept == {"Fn::GetAtt": [own, "Arn"]}


def test_a_message_under_way_is_not_given_to_a_second_reader() -> None:
    functions = resources(transformed(), "AWS::Lambda::Function")
    for mapping in resources(transformed(), "AWS::Lambda::EventSourceMapping").values():
        queue, function = mapping["EventSourceArn"]["Fn::GetAtt"][0], mapping["FunctionName"]["Ref"]
        assert QUEUES[queue]["VisibilityTimeout"] >= 1.2 * functions[function]["Timeout"]


def test_nobody_from_outside_may_send_a_request_unless_named() -> None:
    policies = resources(transformed(), "AWS::SQS::QueuePolicy")
    (statement,) = policies["RequestsQueuePolicy"]["PolicyDocument"]["Statement"]
    assert list(policies) == ["RequestsQueuePolicy"]
    assert transformed()["Resources"]["RequestsQueuePolicy"]["Condition"] == "HasRequestSenders"
    assert transformed()["Parameters"]["RequestSenders"]["Default"] == ""
    assert (statement["Principal"], statement["Action"]) == ({"AWS": {"Ref": "RequestSenders"}}, "sqs:SendMessage")


def test_the_bucket_is_closed_encrypted_and_forgets_after_thirty_days() -> None:
    assert set(BUCKET["PublicAccessBlockConfiguration"].values()) == {True}
    assert "VersioningConfiguration" not in BUCKET
    (encryption,) = BUCKET["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    rules = BUCKET["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert days == dict.fromkeys(["jobs/", "files/", "batches/", "inbox/", "outbox/"], KEPT_S // 86_400)
    assert [rule["AbortIncompleteMultipartUpload"] for rule in rules if "Prefix" not in rule] == [
        {"DaysAfterInitiation": 1}
    ]


def test_the_bucket_tells_of_dropped_files_and_is_read_over_tls_only() -> None:
    assert BUCKET["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    (policy,) = resources(transformed(), "AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("template", ["template", "infra/alarms", "infra/dashboard", "infra/endpoints", "infra/waf"])
def test_a_stack_contains_what_was_reviewed(template: str) -> None:
    stack = transformed() if template == "template" else source(f"{template}.yaml")
    listed = sorted(f"{stable_id(name)}: {resource['Type']}" for name, resource in stack["Resources"].items())
    snapshot = ROOT / "tests/infra/snapshots" / f"{template.removeprefix('infra/')}.txt"
    assert listed == snapshot.read_text("utf-8").splitlines()
