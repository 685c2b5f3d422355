"""How each function is set up: settings, deadlines, logs, layers, triggers."""

from __future__ import annotations

import os
from typing import Any

import pytest
from gateway.config import Settings

from tests.infra.transformed import ROOT, resources, source, transformed, walk

FUNCTIONS = resources(transformed(), "AWS::Lambda::Function")
# Read by the runtime, by Python and by the adapter, not by us.
OTHER_READERS = ("AWS_LAMBDA_", "AWS_LWA_", "PYTHONPATH")


def variables(function: str) -> dict[str, Any]:
    """A function's environment."""
    found: dict[str, Any] = FUNCTIONS[function]["Environment"]["Variables"]
    return found


def mapping_of(queue: str) -> dict[str, Any]:
    """The event source mapping of a queue."""
    mappings = resources(transformed(), "AWS::Lambda::EventSourceMapping").values()
    (found,) = [mapping for mapping in mappings if mapping["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}]
    return found


def test_each_folder_of_functions_is_one_function_of_the_stack() -> None:
    written = {path.parent.name.title() + "Function" for path in ROOT.glob("functions/*/*.py")}
    assert set(FUNCTIONS) == written


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_only_variables_that_somebody_reads(function: str) -> None:
    ours = {name for name in variables(function) if not name.startswith(OTHER_READERS)}
    assert ours <= {field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_settings_load_from_a_functions_environment(function: str) -> None:
    parameters = source("template.yaml")["Parameters"]

    def resolved(value: Any) -> str:
        if isinstance(value, str):
            return value
        return str(parameters.get(value.get("Ref"), {}).get("Default", "from-the-stack"))

    Settings.from_environment({name: resolved(value) for name, value in variables(function).items()})


def test_a_jobs_queue_is_found_by_the_slug_of_its_model() -> None:
    prefix = "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/${AWS::StackName}-jobs-"
    found = [values for name in FUNCTIONS if (values := variables(name).get("JOBS_QUEUE_URL_PREFIX")) is not None]
    assert found == [{"Fn::Sub": prefix}] * 3


def test_a_function_finds_its_table_its_outbox_and_its_models_in_the_same_stack() -> None:
    for function in FUNCTIONS:
        assert variables(function)["TABLE_NAME"] == {"Ref": "Table"}
        assert variables(function)["OUTBOX_QUEUE_URL"] == {"Ref": "OutboxQueue"}
        assert variables(function)["STACK_NAME"] == {"Ref": "AWS::StackName"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_runs_on_the_chosen_processor_and_is_traced(function: str) -> None:
    assert FUNCTIONS[function]["Runtime"] == "python3.14"
    assert FUNCTIONS[function]["Architectures"] == [{"Ref": "Architecture"}]
    assert FUNCTIONS[function]["TracingConfig"] == {"Mode": "Active"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_logs_json_to_a_group_of_its_own_that_forgets(function: str) -> None:
    logging = FUNCTIONS[function]["LoggingConfig"]
    group = function.removesuffix("Function") + "Logs"
    assert logging["LogFormat"] == "JSON"
    assert logging["LogGroup"] == {"Ref": group}
    assert resources(transformed(), "AWS::Logs::LogGroup")[group] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_logs_at_a_level_that_shows_prompts_or_hides_metrics(function: str) -> None:
    assert FUNCTIONS[function]["LoggingConfig"]["ApplicationLogLevel"] == "INFO"
    assert variables(function)["LOG_LEVEL"] == "INFO"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_both_layers_of_this_stack(function: str) -> None:
    built = resources(transformed(), "AWS::Lambda::LayerVersion")
    assert len(built) == 2
    assert [layer["Ref"] for layer in FUNCTIONS[function]["Layers"][:2]] == list(built)


def test_only_the_chat_function_has_the_adapter_and_has_it_for_its_processor() -> None:
    assert [function for function in FUNCTIONS if len(FUNCTIONS[function]["Layers"]) > 2] == ["ChatFunction"]
    (arn, names) = FUNCTIONS["ChatFunction"]["Layers"][2]["Fn::Sub"]
    assert arn == "arn:${AWS::Partition}:lambda:${AWS::Region}:753240598075:layer:${Name}:30"
    assert names == {"Name": {"Fn::If": ["IsArm", "LambdaAdapterLayerArm64", "LambdaAdapterLayerX86"]}}
    assert transformed()["Conditions"]["IsArm"] == {"Fn::Equals": [{"Ref": "Architecture"}, "arm64"]}


def test_the_adapter_streams_what_run_sh_serves() -> None:
    chat = variables("ChatFunction")
    assert FUNCTIONS["ChatFunction"]["Handler"] == "run.sh"
    assert chat["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert chat["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert chat["PYTHONPATH"] == "/opt/python"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_entry_file_exists(function: str) -> None:
    folder = ROOT / source("template.yaml")["Resources"][function]["Properties"]["CodeUri"]
    handler = FUNCTIONS[function]["Handler"]
    if handler == "run.sh":
        assert os.access(folder / "run.sh", os.X_OK)
    else:
        (module, name) = handler.split(".")
        assert name in (folder / f"{module}.py").read_text("utf-8")


def test_line_and_generation_leave_the_chat_function_time_to_settle() -> None:
    chat = variables("ChatFunction")
    timeout_s = FUNCTIONS["ChatFunction"]["Timeout"]
    settings = Settings.from_environment(
        {name: value for name, value in chat.items() if isinstance(value, str)}
        | {"TABLE_NAME": "t", "OUTBOX_QUEUE_URL": "q", "STACK_NAME": "s"}
    )
    assert settings.line_wait_s + settings.request_timeout_s + 30 <= timeout_s <= 900


def test_api_gateway_waits_a_little_longer_than_each_function() -> None:
    body = resources(transformed(), "AWS::ApiGateway::RestApi")["Api"]["Body"]
    streamed_ms = [v["timeoutInMillis"] for v in walk(body) if isinstance(v, dict) and "timeoutInMillis" in v]
    assert len(streamed_ms) == 2
    for waits_ms in streamed_ms:
        assert FUNCTIONS["ChatFunction"]["Timeout"] * 1000 < waits_ms <= 900_000
    assert FUNCTIONS["AccountFunction"]["Timeout"] < 29


@pytest.mark.parametrize("mapping", resources(transformed(), "AWS::Lambda::EventSourceMapping"))
def test_one_bad_message_does_not_hold_up_the_others_of_its_batch(mapping: str) -> None:
    source_of = resources(transformed(), "AWS::Lambda::EventSourceMapping")[mapping]
    assert source_of["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_each_queue_but_the_dead_letters_feeds_the_function_that_reads_it() -> None:
    queues = {queue for queue in resources(transformed(), "AWS::SQS::Queue") if "DeadLetter" not in queue}
    fed = {queue: mapping_of(queue)["FunctionName"]["Ref"] for queue in queues}
    assert {queue: function for queue, function in fed.items() if not queue.endswith("JobsQueue")} == {
        "OutboxQueue": "OutboxFunction",
        "IntakeQueue": "IntakeFunction",
        "RequestsQueue": "IntakeFunction",
        "CallbacksQueue": "CallbackFunction",
    }
    assert {function for queue, function in fed.items() if queue.endswith("JobsQueue")} == {"WorkerFunction"}


def test_a_job_runs_alone_and_no_more_at_once_than_was_chosen() -> None:
    for queue in (queue for queue in resources(transformed(), "AWS::SQS::Queue") if queue.endswith("JobsQueue")):
        assert mapping_of(queue)["BatchSize"] == 1
        assert mapping_of(queue)["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "WorkerConcurrency"}}


def targets_of(function: str) -> list[dict[str, Any]]:
    """The rules that call a function."""
    rules = resources(transformed(), "AWS::Events::Rule").values()
    return [rule for rule in rules if rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}]


def test_upkeep_runs_every_minute_and_on_each_change_of_a_model() -> None:
    every_minute, on_change = targets_of("UpkeepFunction")
    assert every_minute["ScheduleExpression"] == "rate(1 minute)"
    assert on_change["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change", "SageMaker Inference Component State Change"],
    }


def test_the_intake_hears_of_requests_on_our_bus_and_of_files_dropped_into_the_inbox() -> None:
    dropped, requested = targets_of("IntakeFunction")
    assert requested["EventBusName"] == {"Ref": "Bus"}
    assert requested["EventPattern"] == {"detail-type": ["GenerationRequested"]}
    assert "EventBusName" not in dropped
    assert dropped["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": "Blobs"}]}, "object": {"key": [{"prefix": "inbox/"}]}},
    }


def test_an_event_that_the_intake_fails_on_is_kept() -> None:
    asynchronous = resources(transformed(), "AWS::Lambda::EventInvokeConfig")["IntakeFunctionEventInvokeConfig"]
    kept = asynchronous["DestinationConfig"]["OnFailure"]["Destination"]
    assert kept == {"Fn::GetAtt": ["IntakeDeadLetterQueue", "Arn"]}


def test_upkeep_ends_before_its_next_turn_and_is_not_repeated() -> None:
    assert FUNCTIONS["UpkeepFunction"]["Timeout"] < 60
    asynchronous = resources(transformed(), "AWS::Lambda::EventInvokeConfig")["UpkeepFunctionEventInvokeConfig"]
    assert asynchronous["MaximumRetryAttempts"] == 0


def test_a_worker_has_the_time_that_chat_has() -> None:
    for setting in ("REQUEST_TIMEOUT_S", "LINE_WAIT_S"):
        assert variables("WorkerFunction")[setting] == variables("ChatFunction")[setting]
    assert FUNCTIONS["WorkerFunction"]["Timeout"] == FUNCTIONS["ChatFunction"]["Timeout"]


def version_of(code_revision: str) -> str:
    """The logical id of the chat function's published version."""
    (version,) = resources(transformed(CodeRevision=code_revision), "AWS::Lambda::Version")
    return version


def test_new_code_in_a_layer_is_a_new_version_of_the_chat_function() -> None:
    assert version_of("one") == version_of("one") != version_of("two")
    (rule,) = transformed()["Rules"]["DeployedByMake"]["Assertions"]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "CodeRevision"}, ""]}]}
    assert "CodeRevision=" in (ROOT / "Makefile").read_text("utf-8")


def test_snapshots_and_warm_environments_are_chosen_by_parameter_and_never_both() -> None:
    chat = FUNCTIONS["ChatFunction"]
    assert chat["SnapStart"] == {"Fn::If": ["HasSnapStart", {"ApplyOn": "PublishedVersions"}, {"Ref": "AWS::NoValue"}]}
    alias = resources(transformed(), "AWS::Lambda::Alias")["ChatFunctionAliaslive"]
    assert alias["ProvisionedConcurrencyConfig"]["Fn::If"][0] == "HasProvisioned"
    rule = transformed()["Rules"]["SnapshotOrAlwaysWarm"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "ChatSnapStart"}, "true"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "ChatProvisionedConcurrency"}, 0]}
    assert transformed()["Parameters"]["ChatSnapStart"]["Default"] == "true"
    assert transformed()["Parameters"]["ChatProvisionedConcurrency"]["Default"] == 0


def test_the_adapter_is_told_where_to_ask_around_a_snapshot_only_where_there_is_one() -> None:
    asked = {name: value for name, value in variables("ChatFunction").items() if "SNAPSTART" in name}
    assert asked == {
        f"AWS_LWA_SNAPSTART_{phase}_PATH": {"Fn::If": ["HasSnapStart", path, {"Ref": "AWS::NoValue"}]}
        for phase, path in [("BEFORE_CHECKPOINT", "/snapstart/before"), ("AFTER_RESTORE", "/snapstart/after")]
    }


def test_no_path_of_the_api_leads_to_the_chat_function_but_those_of_completions() -> None:
    paths = resources(transformed(), "AWS::ApiGateway::RestApi")["Api"]["Body"]["paths"]
    leading = [path for path, item in paths.items() if "${ChatFunctionAliaslive}" in str(item)]
    assert sorted(leading) == ["/v1/chat/completions", "/v1/completions"]


def test_a_snapshot_that_nobody_uses_is_kept() -> None:
    (rule,) = [r for r in resources(transformed(), "AWS::Events::Rule").values() if "rate(7 days)" in str(r)]
    assert rule["Targets"] == [{"Id": "Chat", "Arn": {"Ref": "ChatFunctionAliaslive"}}]
    assert transformed()["Resources"]["SnapshotKeeper"]["Condition"] == "HasSnapStart"
    permission = resources(transformed(), "AWS::Lambda::Permission")["SnapshotKeeperPermission"]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["SnapshotKeeper", "Arn"]}
    assert permission["FunctionName"] == {"Ref": "ChatFunctionAliaslive"}
