"""Tools for models whose template has none: instructions in the system text, an answer of a fixed form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.domain.errors import InvalidRequest
from gateway.domain.json_schema import normalise
from gateway.domain.response_format import ResponseFormat
from gateway.domain.wire import wrong_field

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_TOOLS = 128  # OpenAI's limit
_SILENT_ABOUT_OTHERS = {"type", "properties", "required", "title", "description", "$defs", "definitions", "$schema"}
"""Keywords that neither allow nor ask for a property beside the named ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One function that the model may call; `core` is what its arguments are constrained to."""

    name: str
    description: str
    parameters: dict[str, Any]
    core: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlan:
    """What the model may call in this answer, and whether it must."""

    tools: tuple[Tool, ...]
    choice: Literal["auto", "required", "named"]
    parallel: bool
    named: str | None = None

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that this answer may call."""
        return tuple(tool for tool in self.tools if self.named in (None, tool.name))


def parse_tools(tools: Any, tool_choice: Any, parallel_tool_calls: Any) -> ToolPlan | None:
    """The plan of a request's tool fields; None where nothing may be called.

    Raises InvalidRequest with the exact path.
    """
    parsed = _parse_list(tools)
    if not (parallel_tool_calls is None or isinstance(parallel_tool_calls, bool)):
        raise wrong_field("parallel_tool_calls", "true or false", parallel_tool_calls)
    choice, named = _parse_choice(tool_choice, parsed)
    if choice is None or not parsed:
        return None
    return ToolPlan(tools=parsed, choice=choice, named=named, parallel=parallel_tool_calls is not False)


def render_instructions(plan: ToolPlan) -> str:
    """The system text that tells the model its tools and the form of a call."""
    listed = "\n".join(
        written({"name": tool.name, "description": tool.description, "parameters": tool.parameters})
        for tool in plan.callable_tools
    )
    call = '{"tool": "<name>", "arguments": {<arguments>}}'
    rules = [f"To call a tool, answer with JSON only: {call}"]
    if plan.parallel:
        rules.append(f"To call several at once, answer with a list: [{call}, ...]")
    if plan.choice == "auto":
        rules.append('To answer without a tool: {"answer": "<text>"}')
    else:
        rules.append("You must call a tool now.")
    return "\n".join(["You can use these tools:", listed, *rules])


def answer_schema(plan: ToolPlan) -> dict[str, Any]:
    """The schema of everything that the model may write under this plan."""
    definitions: dict[str, Any] = {}
    calls = []
    for tool in plan.callable_tools:
        arguments = {key: value for key, value in tool.core.items() if key != "$defs"}
        definitions |= tool.core.get("$defs", {})
        calls.append(_record({"tool": {"enum": [tool.name]}, "arguments": arguments}))
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    branches = [_record({"answer": {"type": "string"}})] if plan.choice == "auto" else []
    branches.append(call)
    if plan.parallel:
        branches.append({"type": "array", "items": call, "minItems": 1})
    schema = branches[0] if len(branches) == 1 else {"anyOf": branches}
    return {**schema, "$defs": definitions} if definitions else schema


def answer_format(plan: ToolPlan) -> ResponseFormat:
    """The plan's schema as the format that engines are told (`response_format.engine_response_format`)."""
    schema = answer_schema(plan)
    return ResponseFormat(kind="json_schema", schema=schema, core=schema, name="tool_answer", strict=True)


def written_calls(tool_calls: Sequence[Mapping[str, Any]]) -> str:
    """Earlier calls as the model would have written them under `answer_schema`."""
    calls = []
    for call in tool_calls:
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except ValueError:
            arguments = function["arguments"]
        calls.append({"tool": function["name"], "arguments": arguments})
    return written(calls[0] if len(calls) == 1 else calls)


def written(value: Any) -> str:
    """JSON as models write it: one line, a space behind colons and commas, characters as they are."""
    return json.dumps(value, ensure_ascii=False)


def _record(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parse_list(tools: Any) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise wrong_field("tools", "a list of tools", tools)
    if len(tools) > _MOST_TOOLS:
        raise wrong_field("tools", f"at most {_MOST_TOOLS} tools", tools)
    parsed: dict[str, Tool] = {}
    for index, spec in enumerate(tools):
        tool = _parse_tool(spec, index)
        if tool.name in parsed:
            param = f"tools[{index}].function.name"
            raise InvalidRequest(f"{param}: expected distinct names; {tool.name!r} came twice.", param=param)
        parsed[tool.name] = tool
    return tuple(parsed.values())


def _parse_tool(spec: Any, index: int) -> Tool:
    at = f"tools[{index}]"
    if not isinstance(spec, Mapping):
        raise wrong_field(at, "an object", spec)
    if spec.get("type") != "function":
        raise wrong_field(f"{at}.type", '"function", the only kind of tool served here', spec.get("type"))
    function = spec.get("function")
    if not isinstance(function, Mapping):
        raise wrong_field(f"{at}.function", "an object with name and parameters", function)
    name, description = function.get("name"), function.get("description")
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise wrong_field(f"{at}.function.name", "1 to 64 of a-z, A-Z, 0-9, _ and -", name)
    if not (description is None or isinstance(description, str)):
        raise wrong_field(f"{at}.function.description", "a string", description)
    strict = function.get("strict")
    if not (strict is None or isinstance(strict, bool)):
        raise wrong_field(f"{at}.function.strict", "true or false", strict)
    at_parameters = f"{at}.function.parameters"
    parameters = function.get("parameters")
    if parameters is None:
        parameters = _record({})
    if not isinstance(parameters, Mapping):
        raise wrong_field(at_parameters, "a JSON schema of an object", parameters)
    if parameters.get("type", "object") != "object":
        raise wrong_field(f"{at_parameters}.type", '"object"', parameters["type"])
    schema = {"type": "object", **parameters}
    # Definitions of several tools share one root: the index keeps their names apart.
    core = normalise(_closed(schema), param=at_parameters, namespace=f"t{index}-")
    return Tool(name=name, description=description or "", parameters=schema, core=core)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with no more properties than it names, where it says nothing of others: they are a function's
    parameters, and a small model left free to invent some does (seen with SmolLM2 and a tool without any).
    """
    named, required = schema.get("properties"), schema.get("required", [])
    if not (schema.keys() <= _SILENT_ABOUT_OTHERS and isinstance(named, Mapping) and isinstance(required, list)):
        return schema
    if not all(isinstance(name, str) and name in named for name in required):
        return schema
    return {**schema, "additionalProperties": False}


def _parse_choice(
    choice: Any, tools: tuple[Tool, ...]
) -> tuple[Literal["auto", "required", "named"] | None, str | None]:
    if choice == "none":
        return None, None
    if choice is None or (choice == "auto" and not tools):
        return "auto", None
    if choice in ("auto", "required"):
        if not tools:
            raise InvalidRequest(f"tool_choice: {choice!r} needs tools; none came.", param="tool_choice")
        return choice, None
    if not (isinstance(choice, Mapping) and choice.get("type") == "function"):
        spellings = 'none, auto, required or {"type":"function","function":{"name":…}}'
        raise wrong_field("tool_choice", spellings, choice)
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    names = [tool.name for tool in tools]
    if name not in names:
        raise wrong_field("tool_choice.function.name", f"the name of one of the tools ({', '.join(names)})", name)
    return "named", name
