"""Our templates as CloudFormation gets them: after SAM's own transform, as `sam deploy` runs it."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
Template = dict[str, Any]


def source(name: str) -> Template:
    """A template as it is written, its short-form intrinsics spelled out."""
    parsed: Template = yaml_parse((ROOT / name).read_text("utf-8"))
    return parsed


@cache
def transformed(**parameters: str) -> Template:
    """template.yaml after the upload and the transform. It asks for no AWS managed policy, so none is given."""
    translator = Translator(
        managed_policy_map={}, sam_parser=Parser(), boto_session=boto3.Session(region_name="us-east-1")
    )
    plain = json.loads(json.dumps(source("template.yaml")))
    for resource in plain["Resources"].values():
        for uri in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][uri] = f"s3://uploads/{resource['Properties'][uri].strip('/')}"
    given = {"Architecture": "arm64", **parameters}
    result: Template = json.loads(json.dumps(translator.translate(plain, given)))
    return result


def resources(template: Template, kind: str) -> dict[str, Template]:
    """The properties of every resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def stable_id(logical_id: str) -> str:
    """A logical id without the digest of its contents, which SAM appends to deployments, versions and layers."""
    return re.sub(r"^(ApiDeployment|ChatFunctionVersion|\w+Layer)[0-9a-f]{10}$", r"\1*", logical_id)


def walk(value: Any) -> list[Any]:
    """Every value in a tree, the tree itself first."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(inner for child in children for inner in walk(child))]
