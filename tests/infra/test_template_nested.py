"""The nested stacks: alarms, dashboard, firewall."""

from __future__ import annotations

import json
import re

import pytest

from tests.infra.transformed import resources, source, transformed, walk

NESTED = resources(transformed(), "AWS::CloudFormation::Stack")
ALARMS = resources(source("infra/alarms.yaml"), "AWS::CloudWatch::Alarm")
RULES = {rule["Name"]: rule for rule in resources(source("infra/waf.yaml"), "AWS::WAFv2::WebACL")["Firewall"]["Rules"]}


# Of what it failed on, a function whose messages come back by themselves tells its dead-letter queue's alarm.
WATCHED_BY_DEAD_LETTERS = {"CallbackFunction"}


@pytest.mark.parametrize("stack", NESTED)
def test_a_nested_stack_is_given_each_parameter_that_it_declares(stack: str) -> None:
    declared = source(NESTED[stack]["TemplateURL"])["Parameters"]
    assert set(NESTED[stack]["Parameters"]) == set(declared)


def test_api_metrics_are_looked_for_under_the_name_that_the_api_has() -> None:
    api = resources(transformed(), "AWS::ApiGateway::RestApi")["Api"]
    assert api["Body"]["info"]["title"] == NESTED["Alarms"]["Parameters"]["ApiName"] == {"Ref": "AWS::StackName"}


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_says_what_is_wrong_and_tells_the_topic_when_it_starts_and_ends(alarm: str) -> None:
    assert ALARMS[alarm]["AlarmDescription"].endswith(".")
    assert ALARMS[alarm]["AlarmActions"] == ALARMS[alarm]["OKActions"] == [{"Ref": "Topic"}]


@pytest.mark.parametrize(
    "function", sorted(resources(transformed(), "AWS::Lambda::Function").keys() - WATCHED_BY_DEAD_LETTERS)
)
def test_a_function_that_fails_is_noticed(function: str) -> None:
    watched = [a["Dimensions"][0]["Value"] for a in ALARMS.values() if a["MetricName"] == "Errors"]
    assert {"Ref": function} in watched
    assert NESTED["Alarms"]["Parameters"][function] == {"Ref": function}


@pytest.mark.parametrize("queue", [q for q in resources(transformed(), "AWS::SQS::Queue") if "DeadLetter" in q])
def test_a_message_that_nobody_could_handle_is_noticed(queue: str) -> None:
    watched = [a["Dimensions"][0]["Value"] for a in ALARMS.values() if a["Namespace"] == "AWS/SQS"]
    assert {"Ref": f"{queue}Name"} in watched
    assert NESTED["Alarms"]["Parameters"][f"{queue}Name"] == {"Fn::GetAtt": [queue, "QueueName"]}


def test_a_budget_warns_before_and_at_its_limit() -> None:
    budget = resources(source("infra/alarms.yaml"), "AWS::Budgets::Budget")["Budget"]
    assert budget["Budget"]["BudgetLimit"]["Amount"] == {"Ref": "MonthlyBudgetUsd"}
    notifications = [n["Notification"]["Threshold"] for n in budget["NotificationsWithSubscribers"]]
    assert notifications == [80, 100]


def test_silence_is_an_alarm_only_where_something_must_always_happen() -> None:
    assert [name for name, a in ALARMS.items() if a["TreatMissingData"] == "breaching"] == ["UpkeepSilent"]


def test_the_dashboard_is_json_and_uses_only_its_parameters() -> None:
    template = source("infra/dashboard.yaml")
    text = resources(template, "AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    used = set(re.findall(r"\$\{(\w[\w:]*)\}", text))
    assert used == set(template["Parameters"]) | {"AWS::Region"}
    widgets = json.loads(re.sub(r"\$\{[\w:]+\}", "x", text))["widgets"]
    assert all(widget["properties"]["title"] for widget in widgets)


def test_the_firewall_stands_in_front_of_the_apis_stage() -> None:
    (association,) = resources(source("infra/waf.yaml"), "AWS::WAFv2::WebACLAssociation").values()
    assert association["ResourceArn"] == {"Ref": "ApiStageArn"}
    assert NESTED["Firewall"]["Parameters"]["ApiStageArn"]["Fn::Sub"].endswith("/restapis/${Api}/stages/${ApiStage}")


def test_an_address_over_its_rate_is_told_so_in_the_error_shape() -> None:
    response = RULES["RequestsPerAddress"]["Action"]["Block"]["CustomResponse"]
    bodies = resources(source("infra/waf.yaml"), "AWS::WAFv2::WebACL")["Firewall"]["CustomResponseBodies"]
    error = json.loads(bodies[response["CustomResponseBodyKey"]]["Content"])["error"]
    assert list(error) == ["message", "type", "code", "param"]
    assert (error["type"], error["code"]) == ("rate_limit_error", response["ResponseCode"])
    assert {header["Name"] for header in response["ResponseHeaders"]} >= {"Retry-After", "Access-Control-Allow-Origin"}


def test_the_firewall_does_not_read_what_people_ask_a_model() -> None:
    scope = RULES["KnownBadInputs"]["Statement"]["ManagedRuleGroupStatement"]["ScopeDownStatement"]
    match = scope["NotStatement"]["Statement"]["RegexMatchStatement"]
    assert match["FieldToMatch"] == {"UriPath": {}}
    paths = resources(transformed(), "AWS::ApiGateway::RestApi")["Api"]["Body"]["paths"]
    streamed = [path for path, item in paths.items() if "STREAM" in walk(item)]
    assert len(streamed) == 2
    for path in [*streamed, "/v1/jobs", "/v1/files", "/v1/batches"]:
        assert re.search(match["RegexString"], f"/live{path}")
    for path in ["/v1/models", "/v1/keys", "/v1/usage", "/v1/filesystem", "/health"]:
        assert not re.search(match["RegexString"], f"/live{path}")


def test_the_firewall_keeps_no_sample_of_a_request() -> None:
    sampled = [v for v in walk(source("infra/waf.yaml")) if isinstance(v, dict) and "SampledRequestsEnabled" in v]
    assert len(sampled) == 1 + len(RULES)
    assert not any(visibility["SampledRequestsEnabled"] for visibility in sampled)
