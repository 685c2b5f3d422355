"""The GPU endpoints: one definition, filled from the catalogue, under the names that the gateway calls."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gateway.catalogue import load_catalogue
from gateway.domain.models import DIALECTS, Model
from gateway.entrypoints.observability import Telemetry

from tests.infra.transformed import resources, source, transformed, walk

ENDPOINTS = {
    name: stack["Parameters"]
    for name, stack in resources(transformed(), "AWS::CloudFormation::Stack").items()
    if stack["TemplateURL"] == "infra/endpoints.yaml"
}
STACK = source("infra/endpoints.yaml")
PARAMETERS = transformed()["Parameters"]
# What the catalogue's weights and the numbers of FACTS ask for: one L4 up to 12B, one L40S for 27B.
INSTANCES = {
    "gemma-3-4b-it-qat": "ml.g6.xlarge",
    "gemma-3-12b-it-qat": "ml.g6.xlarge",
    "gemma-3-27b-it-qat": "ml.g6e.xlarge",
}


def one(kind: str) -> dict[str, Any]:
    """The only resource of a type in the endpoint's stack."""
    (found,) = resources(STACK, kind).values()
    return found


def default_of(reference: Any) -> Any:
    """What a parameter is where nobody gives it."""
    return PARAMETERS[reference["Ref"]]["Default"]


def unfold_image(value: Any) -> tuple[str, Any, list[Any]]:
    """Condition, then and the arguments of the other's `Sub`."""
    condition, then, otherwise = value["Fn::If"]
    return condition, then, otherwise["Fn::Sub"]


def evaluate(node: Any, image: str) -> Any:
    """`Fn::Select` and `Fn::Split` as CloudFormation evaluates them, for one value of the parameter Image."""
    if node == {"Ref": "Image"}:
        return image
    if isinstance(node, dict) and "Fn::Select" in node:
        index, parts = node["Fn::Select"]
        return evaluate(parts, image)[index]
    if isinstance(node, dict) and "Fn::Split" in node:
        separator, text = node["Fn::Split"]
        return evaluate(text, image).split(separator)
    return node


def model_of(endpoint: str) -> Model:
    """The catalogue's entry behind an endpoint."""
    return load_catalogue().models[ENDPOINTS[endpoint]["ModelId"]]


def test_each_model_that_has_weights_at_the_hub_has_an_endpoint() -> None:
    with_weights = {model.id for model in load_catalogue().models.values() if model.hub_repository}
    assert sorted(parameters["ModelId"] for parameters in ENDPOINTS.values()) == sorted(with_weights)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_is_given_what_the_catalogue_says_of_its_model(endpoint: str) -> None:
    given, model = ENDPOINTS[endpoint], model_of(endpoint)
    assert given["Name"] == {"Fn::Sub": "${AWS::StackName}-" + model.resource_slug}
    assert default_of(given["Engine"]) == model.dialect
    assert default_of(given["Slots"]) == model.slots_per_copy
    assert default_of(given["ContextTokens"]) == model.context_tokens
    assert (given["ModelFile"], given["ProjectorFile"]) == (model.hub_file, model.hub_projector_file)
    assert given["WeightsPrefix"] == model.id
    assert default_of(given["InstanceType"]) == INSTANCES[model.id]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_engine_and_its_image_are_chosen_by_one_parameter(endpoint: str) -> None:
    given = ENDPOINTS[endpoint]
    (condition, image, other) = given["Image"]["Fn::If"]
    assert (image, other) == ({"Ref": "VllmImage"}, {"Ref": "LlamaCppImage"})
    assert transformed()["Conditions"][condition] == {"Fn::Equals": [given["Engine"], "vllm"]}
    assert PARAMETERS[given["Engine"]["Ref"]]["AllowedValues"] == list(DIALECTS)


@pytest.mark.parametrize("function", resources(transformed(), "AWS::Lambda::Function"))
def test_the_gateway_is_told_how_each_model_is_deployed(function: str) -> None:
    variables = resources(transformed(), "AWS::Lambda::Function")[function]["Environment"]["Variables"]
    text = variables["DEPLOYED_MODELS"]["Fn::Sub"]
    told = {}
    for entry in text.split(","):
        id_, values = entry.split("=")
        told[id_] = re.findall(r"\$\{(\w+)\}", values)
        assert values == "/".join(f"${{{name}}}" for name in told[id_])
    assert told == {
        given["ModelId"]: [given[name]["Ref"] for name in ("Engine", "Slots", "ContextTokens")]
        for given in ENDPOINTS.values()
    }
    resolved = re.sub(r"\$\{(\w+)\}", lambda match: str(PARAMETERS[match[1]]["Default"]), text)
    assert load_catalogue().as_deployed(resolved) == load_catalogue()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_context_and_scaling_follow_from_the_slots(endpoint: str) -> None:
    given, by_slots = ENDPOINTS[endpoint], transformed()["Mappings"]["Slots"]
    assert given["PoolTokens"] == {"Fn::FindInMap": ["Slots", given["Slots"], "Pool"]}
    assert given["TargetDemand"] == {"Fn::FindInMap": ["Slots", given["Slots"], "Target"]}
    assert sorted(map(str, PARAMETERS[given["Slots"]["Ref"]]["AllowedValues"])) == sorted(by_slots)
    for slots, values in by_slots.items():
        # 8K for each slot, and scaling before all are taken
        assert values == {"Target": int(slots) * 3 // 4, "Pool": 8192 * int(slots)}
    model = model_of(endpoint)
    assert by_slots[str(model.slots_per_copy)]["Pool"] >= model.context_tokens


def test_the_image_is_awss_own_in_the_region_unless_another_is_named() -> None:
    assert PARAMETERS["LlamaCppImage"]["Default"] == PARAMETERS["VllmImage"]["Default"] == ""
    (_, named, (template, values)) = unfold_image(one("AWS::SageMaker::Model")["PrimaryContainer"]["Image"])
    assert named == {"Ref": "Image"}
    assert template == "${Account}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/${Name}"
    assert values["Account"] == {"Fn::FindInMap": ["Registries", {"Ref": "AWS::Region"}, "Account"]}
    accounts = {region: entry["Account"] for region, entry in STACK["Mappings"]["Registries"].items()}
    assert accounts["us-east-1"] == accounts["eu-central-1"] == "763104351884"
    assert all(re.fullmatch(r"\d{12}", account) for account in accounts.values())


def test_the_role_reads_the_repository_of_its_image_and_no_other() -> None:
    (policy,) = one("AWS::IAM::Role")["Policies"]
    (resource,) = [
        statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "ecr:BatchGetImage" in statement["Action"]
    ]
    (_, (arn, own), (other_arn, awss)) = [resource["Fn::If"][0], *(r["Fn::Sub"] for r in resource["Fn::If"][1:])]
    assert arn == other_arn == "arn:${AWS::Partition}:ecr:${AWS::Region}:${Account}:repository/${Repository}"
    assert awss["Repository"] == {"Fn::If": ["IsLlamaCpp", "llama-cpp", "vllm"]}
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    for image in (
        f"{registry}/mine/llama:1",
        f"{registry}/mine/llama@sha256:{'0' * 64}",
        f"{registry}/mine/llama:1@sha256:0",
    ):
        assert evaluate(own["Account"], image) == "123456789012"
        assert evaluate(own["Repository"], image) == "mine/llama"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_endpoint_is_made_before_its_weights_are_there(endpoint: str) -> None:
    condition = transformed()["Resources"][endpoint]["Condition"]
    assert {"Condition": "HasWeights"} in transformed()["Conditions"][condition]["Fn::And"]


def test_one_model_is_on_by_default_and_sleeps_when_idle() -> None:
    parameters = transformed()["Parameters"]
    assert [name for name in parameters if name.startswith("Deploy") and parameters[name]["Default"] == "true"] == [
        "DeployGemma12b"
    ]
    assert {parameters[name]["Default"] for name in parameters if name.endswith("MinCopies")} == {0}
    assert {parameters[name]["Default"] for name in parameters if name.endswith("MaxCopies")} == {1}


def test_endpoint_and_component_have_the_name_that_the_gateway_calls_and_may_call() -> None:
    assert one("AWS::SageMaker::Endpoint")["EndpointName"] == {"Ref": "Name"}
    assert one("AWS::SageMaker::InferenceComponent")["InferenceComponentName"] == {"Ref": "Name"}
    assert "EndpointConfigName" not in one("AWS::SageMaker::EndpointConfig")
    longest = max(len(model.resource_slug) for model in load_catalogue().models.values())
    assert 40 + 1 + longest <= 63


def test_weights_come_from_the_owners_bucket_as_they_are_and_nothing_leaves() -> None:
    model = one("AWS::SageMaker::Model")
    data = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert data["S3Uri"] == {"Fn::Sub": "s3://${WeightsBucket}/${WeightsPrefix}/"}
    assert (data["S3DataType"], data["CompressionType"]) == ("S3Prefix", "None")
    assert model["EnableNetworkIsolation"] is True
    assert one("AWS::SageMaker::EndpointConfig")["EnableNetworkIsolation"] is True


def test_each_engine_is_told_its_file_its_slots_and_its_context() -> None:
    condition, llama, vllm = one("AWS::SageMaker::Model")["PrimaryContainer"]["Environment"]["Fn::If"]
    assert condition == "IsLlamaCpp"
    assert llama["SM_LLAMA_CPP_MODEL"] == {"Fn::Sub": "/opt/ml/model/${ModelFile}"}
    assert llama["SM_LLAMA_CPP_PARALLEL"] == vllm["SM_VLLM_MAX_NUM_SEQS"] == {"Ref": "Slots"}
    assert llama["SM_LLAMA_CPP_CTX_SIZE"] == {"Ref": "PoolTokens"}
    assert vllm["SM_VLLM_MAX_MODEL_LEN"] == {"Ref": "ContextTokens"}
    assert vllm["SM_VLLM_DTYPE"] == "bfloat16"


def test_a_copy_has_a_gpu_and_copies_and_instances_have_the_same_bounds() -> None:
    component = one("AWS::SageMaker::InferenceComponent")["Specification"]
    (variant,) = one("AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    scaling, target = variant["ManagedInstanceScaling"], one("AWS::ApplicationAutoScaling::ScalableTarget")
    assert component["ComputeResourceRequirements"]["NumberOfAcceleratorDevicesRequired"] == 1
    assert scaling["MinInstanceCount"] == target["MinCapacity"] == {"Ref": "MinCopies"}
    assert scaling["MaxInstanceCount"] == target["MaxCapacity"] == {"Ref": "MaxCopies"}
    assert variant["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}


def test_copies_are_scaled_under_the_components_name_once_it_exists() -> None:
    assert STACK["Resources"]["Copies"]["DependsOn"] == "InferenceComponent"
    target = one("AWS::ApplicationAutoScaling::ScalableTarget")
    assert target["ResourceId"] == {"Fn::Sub": "inference-component/${Name}"}
    assert target["ScalableDimension"] == "sagemaker:inference-component:DesiredCopyCount"


def test_a_call_without_a_copy_wakes_one() -> None:
    alarm = resources(STACK, "AWS::CloudWatch::Alarm")["NoCapacity"]
    wake = resources(STACK, "AWS::ApplicationAutoScaling::ScalingPolicy")["Wake"]
    assert (alarm["MetricName"], alarm["AlarmActions"]) == ("NoCapacityInvocationFailures", [{"Ref": "Wake"}])
    assert alarm["Dimensions"] == [{"Name": "InferenceComponentName", "Value": {"Ref": "Name"}}]
    (step,) = wake["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert step == {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}


def metrics_of(telemetry: type[Telemetry]) -> set[str]:
    """The names of the metrics that the gateway writes."""
    constants = [c for m in vars(telemetry).values() if callable(m) for c in m.__code__.co_consts]
    constants += [key for keys in constants if isinstance(keys, tuple) for key in keys]  # of a dict of constants
    return {constant for constant in constants if isinstance(constant, str) and re.fullmatch(r"[A-Z]\w+", constant)}


def test_what_the_dashboard_shows_of_our_own_metrics_is_what_the_gateway_writes() -> None:
    text = str(resources(source("infra/dashboard.yaml"), "AWS::CloudWatch::Dashboard"))
    shown = re.findall(r"\$\{StackName\}\\+\",(Model(?:,Reason)?)\} MetricName=\\+\"(\w+)", text)
    assert {name for _, name in shown} <= metrics_of(Telemetry)
    assert {name for _, name in shown} >= {
        "FirstTokenTime",
        "TokensPerSecond",
        "LineWait",
        "CompletionTokens",
        "CostUSD",
    }
    assert [name for dimensions, name in shown if "Reason" in dimensions] == ["Failures"]


def test_what_is_scaled_and_watched_by_our_own_metrics_is_what_the_gateway_writes() -> None:
    ours = [
        value["MetricName"]
        for template in ("infra/endpoints.yaml", "infra/alarms.yaml")
        for value in walk(source(template))
        if isinstance(value, dict) and value.get("Namespace") == {"Ref": "MetricsNamespace"}
    ]
    assert {"DemandPerCopy", "Errors", "FirstTokenTime", "LostRequests", "Requests", "Waiting"} == set(ours)
    assert set(ours) <= metrics_of(Telemetry)
    assert all(stack["MetricsNamespace"] == {"Ref": "AWS::StackName"} for stack in ENDPOINTS.values())


def test_the_endpoints_role_reads_its_own_weights_and_aws_images_only() -> None:
    (policy,) = one("AWS::IAM::Role")["Policies"]
    statements = {
        action: statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    assert statements["s3:GetObject"] == {"Fn::Sub": "arn:${AWS::Partition}:s3:::${WeightsBucket}/${WeightsPrefix}/*"}
    without_arn = {action for action, resource in statements.items() if resource == "*"}
    assert without_arn == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    assert not [action for action in statements if "*" in action]
