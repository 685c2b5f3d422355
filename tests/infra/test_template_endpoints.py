"""The GPU endpoints: one definition, filled from the catalogue, under the names that the gateway calls."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gateway.catalogue import load_catalogue
from gateway.domain.models import Model
from gateway.entrypoints.observability import Telemetry

from tests.infra.transformed import resources, source, transformed, walk

ENDPOINTS = {
    name: stack["Parameters"]
    for name, stack in resources(transformed(), "AWS::CloudFormation::Stack").items()
    if stack["TemplateURL"] == "infra/endpoints.yaml"
}
STACK = source("infra/endpoints.yaml")
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
    assert given["Engine"] == model.dialect
    assert given["Image"] == {"Ref": {"llama.cpp": "LlamaCppImage", "vllm": "VllmImage"}[model.dialect]}
    assert given["Slots"] == model.slots_per_copy
    assert given["ContextTokens"] == model.context_tokens
    assert (given["ModelFile"], given["ProjectorFile"]) == (model.hub_file, model.hub_projector_file)
    assert given["WeightsPrefix"] == model.id
    assert given["InstanceType"] == INSTANCES[model.id]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_context_of_a_copy_holds_8k_for_each_slot_and_one_longest_request(endpoint: str) -> None:
    given = ENDPOINTS[endpoint]
    assert given["PoolTokens"] == 8192 * given["Slots"] >= model_of(endpoint).context_tokens


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_scaling_starts_before_all_slots_are_taken(endpoint: str) -> None:
    given = ENDPOINTS[endpoint]
    assert given["TargetDemand"] == given["Slots"] * 3 // 4


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
    return {constant for constant in constants if isinstance(constant, str) and re.fullmatch(r"[A-Z]\w+", constant)}


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
