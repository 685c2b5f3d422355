"""template.yaml as values: what it declares, with CloudFormation's functions resolved.

Only what a stack of the local kind can tell: references to resources go to the caller's lookup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from infra.local.failure import CannotStart

_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
_NO_VALUE = object()


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short tags, read as their long forms."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


class Lookup(Protocol):
    """What the resources of the template became."""

    def reference(self, logical_id: str) -> str:
        """The value of `Ref`."""
        ...

    def attribute(self, logical_id: str, name: str) -> str:
        """The value of `Fn::GetAtt`."""
        ...


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template; `pseudo` are the values of `AWS::Region` and its like."""

    document: Mapping[str, Any]
    pseudo: Mapping[str, str]

    def resources(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and definition of each resource of these types whose condition holds."""
        for logical_id, resource in self.document["Resources"].items():
            if resource["Type"] in types and self._holds(resource.get("Condition")):
                yield logical_id, resource

    def function_defaults(self) -> Mapping[str, Any]:
        """`Globals.Function`."""
        defaults: Mapping[str, Any] = self.document.get("Globals", {}).get("Function", {})
        return defaults

    def resolve(self, node: Any, lookup: Lookup) -> Any:
        """`node` with every intrinsic function replaced by its value. Raises CannotStart for one not known here."""
        if isinstance(node, list):
            return [value for item in node if (value := self.resolve(item, lookup)) is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self._reference(argument, lookup)
            if name.startswith("Fn::"):
                return self._call(name, argument, lookup)
        values = {key: self.resolve(value, lookup) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not _NO_VALUE}

    def _reference(self, name: str, lookup: Lookup) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        parameters = self.document.get("Parameters", {})
        if name not in parameters:
            return lookup.reference(name)
        if "Default" not in parameters[name]:
            raise CannotStart(f"The parameter {name} of template.yaml has no default to run with.")
        return parameters[name]["Default"]

    def _call(self, name: str, argument: Any, lookup: Lookup) -> Any:
        if name == "Fn::GetAtt":
            return lookup.attribute(argument[0], argument[1])
        if name == "Fn::Sub":
            return self._substitute(argument, lookup)
        if name == "Fn::Join":
            separator, parts = argument
            return separator.join(str(part) for part in self.resolve(parts, lookup))
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.resolve(then if self._holds(condition) else otherwise, lookup)
        raise CannotStart(f"{name} in template.yaml is not known to the local stack.")

    def _substitute(self, argument: Any, lookup: Lookup) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name in given:
                return str(self.resolve(given[name], lookup))
            logical_id, dot, attribute = name.partition(".")
            return str(lookup.attribute(logical_id, attribute) if dot else self._reference(name, lookup))

        return _VARIABLE.sub(value, text).replace("${!", "${")

    def _holds(self, condition: Any) -> bool:
        if condition is None:
            return True
        if isinstance(condition, str):
            return self._holds(self.document["Conditions"][condition])
        ((name, argument),) = condition.items()
        if name == "Condition":
            return self._holds(argument)
        if name == "Fn::Not":
            return not self._holds(argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(self._holds(part) for part in argument)
        if name == "Fn::Equals":
            left, right = (str(self.resolve(side, _Nothing())) for side in argument)
            return left == right
        raise CannotStart(f"{name} in a condition of template.yaml is not known to the local stack.")


class _Nothing:
    """Conditions can't see resources."""

    def reference(self, logical_id: str) -> str:
        raise CannotStart(f"A condition of template.yaml refers to {logical_id}, which is no parameter.")

    def attribute(self, logical_id: str, name: str) -> str:
        raise CannotStart(f"A condition of template.yaml refers to {logical_id}.{name}.")


def load_template(path: Path, *, region: str, account_id: str, stack_name: str) -> Template:
    """The template in a file. Raises CannotStart."""
    try:
        document = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - a SafeLoader with more tags
    except (OSError, yaml.YAMLError) as error:
        raise CannotStart(f"{path} cannot be read: {error}.") from None
    return Template(
        document,
        {
            "AWS::Region": region,
            "AWS::AccountId": account_id,
            "AWS::StackName": stack_name,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        },
    )
