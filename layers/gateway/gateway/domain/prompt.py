"""Any legal conversation as the templates of Gemma and SmolLM2 take it.

They allow one leading system message and then user and assistant in strict alternation, have no tool role and
no tool calls, and answer anything else with an error. What `fold_messages` makes of a conversation ends with a
user turn always: behind an assistant's, llama.cpp would go on with that text instead of answering.
Models with native tools keep calls and their results as they are, for their templates have a place for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.errors import InvalidRequest
from gateway.domain.models import Model
from gateway.domain.tools import written_calls
from gateway.domain.wire import wrong_field

Message = Mapping[str, Any]
Part = dict[str, Any]

_BLANK_LINE = "\n\n"
_LATER_INSTRUCTIONS = "Instructions from the system:"
_SYSTEM_ROLES = ("system", "developer")
_ROLES = (*_SYSTEM_ROLES, "user", "assistant", "tool")


@dataclass(slots=True)
class _Turn:
    """One message to be; `fields` are those that only native tools have."""

    role: str
    parts: list[Part] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def fold_messages(messages: Sequence[Message], *, model: Model, instructions: str = "") -> list[dict[str, Any]]:
    """The conversation with nothing of it lost: at most one system message, then user and assistant in turn.

    System and developer texts behind the first turn become part of the user's side, marked as instructions; so do
    tool results, with the name of their tool. Calls are written as the model itself would write them. `instructions`
    of ours come before the system's.
    Raises InvalidRequest naming the message and part that is not legal.
    """
    if not messages:
        raise InvalidRequest("'messages' must be an array of at least one message, got none.", param="messages")
    readers = _NATIVE_READERS if model.native_tools else _READERS
    system = _Turn("system")
    if instructions:
        system.parts.append(_text(instructions))
    turns: list[_Turn] = []
    called: dict[str, str] = {}
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        role = _role(message, at)
        parts = readers[role](message, at, called)
        _check_images(parts, message, at, vision=model.vision)
        if role in _SYSTEM_ROLES and not turns:
            system.parts += parts
            continue
        if role in _SYSTEM_ROLES and any(part["text"] for part in parts):
            parts.insert(0, _text(_LATER_INSTRUCTIONS))
        native = _native_tool_fields(message) if model.native_tools else {}
        side = role if role == "assistant" or (role == "tool" and native) else "user"
        if not turns and side != "user":
            turns.append(_Turn("user"))
        if not turns or turns[-1].role != side or turns[-1].fields:
            turns.append(_Turn(side))
        turns[-1].parts += parts
        turns[-1].fields |= native
    if not turns or turns[-1].role == "assistant":
        turns.append(_Turn("user"))
    leading = [system] if any(part["text"] for part in system.parts) else []
    return [{"role": turn.role, "content": _joined(turn.parts), **turn.fields} for turn in [*leading, *turns]]


def _role(message: Message, at: str) -> str:
    if not isinstance(message, Mapping):
        raise wrong_field(at, "an object", message)
    role = message.get("role")
    if role not in _ROLES:
        raise wrong_field(f"{at}.role", f"one of {', '.join(_ROLES)}", role)
    return str(role)


def _read_system(message: Message, at: str, _called: dict[str, str]) -> list[Part]:
    return _content(message, at)


def _read_user(message: Message, at: str, _called: dict[str, str]) -> list[Part]:
    parts = _content(message, at)
    name = message.get("name")
    if name is None:
        return parts
    if not isinstance(name, str):
        raise wrong_field(f"{at}.name", "a string", name)
    return [_text(f"{name}:"), *parts] if name else parts


def _read_assistant(message: Message, at: str, called: dict[str, str]) -> list[Part]:
    if message.get("function_call") is not None:
        param = f"{at}.function_call"
        raise InvalidRequest(
            f"{param}: function_call is not served; send tool_calls.", param=param, reason="unsupported_parameter"
        )
    calls, refusal = message.get("tool_calls"), message.get("refusal")
    if not (refusal is None or isinstance(refusal, str)):
        raise wrong_field(f"{at}.refusal", "a string or null", refusal)
    parts: list[Part] = []
    if message.get("content") is not None:
        parts += _content(message, at)
    elif not calls and not refusal:
        raise wrong_field(f"{at}.content", "a string or a list of parts (null only beside tool_calls)", None)
    if refusal:
        parts.append(_text(refusal))
    if calls:
        _check_calls(calls, at)
        called.update((call["id"], call["function"]["name"]) for call in calls)
    return parts


def _read_emulated_assistant(message: Message, at: str, called: dict[str, str]) -> list[Part]:
    parts, calls = _read_assistant(message, at, called), message.get("tool_calls")
    return [*parts, _text(written_calls(calls))] if calls else parts


def _read_tool(message: Message, at: str, _called: dict[str, str]) -> list[Part]:
    if not isinstance(message.get("tool_call_id"), str):
        raise wrong_field(f"{at}.tool_call_id", "the id of the call that this answers", message.get("tool_call_id"))
    return _content(message, at)


def _read_emulated_tool(message: Message, at: str, called: dict[str, str]) -> list[Part]:
    parts, call_id = _read_tool(message, at, called), message.get("tool_call_id")
    label = f"Result of {called[call_id]} ({call_id}):" if call_id in called else f"Result of {call_id}:"
    text = "\n".join([label, *(part["text"] for part in parts if part["type"] == "text")])
    return [_text(text), *(part for part in parts if part["type"] != "text")]


_NATIVE_READERS: dict[str, Callable[[Message, str, dict[str, str]], list[Part]]] = {
    "system": _read_system,
    "developer": _read_system,
    "user": _read_user,
    "assistant": _read_assistant,
    "tool": _read_tool,
}
_READERS = {**_NATIVE_READERS, "assistant": _read_emulated_assistant, "tool": _read_emulated_tool}


def _native_tool_fields(message: Message) -> dict[str, Any]:
    """What a message says of tools, in the fields that templates with tools read."""
    if message["role"] == "tool":
        return {"tool_call_id": message["tool_call_id"]}
    calls = message.get("tool_calls") if message["role"] == "assistant" else None
    if not calls:
        return {}
    return {"tool_calls": [{"id": call["id"], "type": "function", "function": _function(call)} for call in calls]}


def _function(call: Mapping[str, Any]) -> dict[str, str]:
    """Name and arguments; templates walk through the arguments' object, and fail on any other text."""
    name, arguments = call["function"]["name"], call["function"]["arguments"] or "{}"
    try:
        whole = isinstance(json.loads(arguments), dict)
    except ValueError:
        whole = False
    return {"name": name, "arguments": arguments if whole else json.dumps({"arguments": arguments})}


def _check_calls(calls: Any, at: str) -> None:
    if not isinstance(calls, list):
        raise wrong_field(f"{at}.tool_calls", "a list of calls", calls)
    for index, call in enumerate(calls):
        at_call = f"{at}.tool_calls[{index}]"
        if not isinstance(call, Mapping):
            raise wrong_field(at_call, "an object", call)
        if call.get("type", "function") != "function":
            raise wrong_field(f"{at_call}.type", '"function"', call["type"])
        if not isinstance(call.get("id"), str):
            raise wrong_field(f"{at_call}.id", "a string", call.get("id"))
        function = call.get("function")
        if not isinstance(function, Mapping):
            raise wrong_field(f"{at_call}.function", "an object with name and arguments", function)
        for name in ("name", "arguments"):
            if not isinstance(function.get(name), str):
                raise wrong_field(f"{at_call}.function.{name}", "a string", function.get(name))


def _content(message: Message, at: str) -> list[Part]:
    content = message.get("content")
    if isinstance(content, str):
        return [_text(content)]
    if not isinstance(content, list):
        raise wrong_field(f"{at}.content", "a string or a list of parts", content)
    return [_part(part, f"{at}.content[{index}]") for index, part in enumerate(content)]


def _part(part: Any, at: str) -> Part:
    if not isinstance(part, Mapping):
        raise wrong_field(at, "an object", part)
    match part.get("type"):
        case "text" | "refusal" as kind:
            if not isinstance(part.get(kind), str):
                raise wrong_field(f"{at}.{kind}", "a string", part.get(kind))
            return _text(part[kind])
        case "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, Mapping) else None
            if not isinstance(url, str):
                raise wrong_field(f"{at}.image_url.url", "a string", url)
            return {"type": "image_url", "image_url": {"url": url}}
        case other:
            raise wrong_field(f"{at}.type", "text or image_url", other)


def _check_images(parts: list[Part], message: Message, at: str, *, vision: bool) -> None:
    if all(part["type"] == "text" for part in parts):
        return
    index = next(i for i, part in enumerate(message["content"]) if part["type"] == "image_url")
    param = f"{at}.content[{index}]"
    if not vision:
        raise InvalidRequest(f"'{param}' must be text, for this model does not see; got an image.", param=param)
    if message["role"] in (*_SYSTEM_ROLES, "assistant"):
        raise InvalidRequest(f"'{param}' may not be an image: only user and tool messages can have one.", param=param)


def _joined(parts: Sequence[Part]) -> str | list[Part]:
    """One string, or, where there are images, parts with the neighbouring texts joined."""
    joined: list[Part] = []
    for part in parts:
        if part["type"] != "text":
            joined.append(part)
        elif part["text"]:
            if joined and joined[-1]["type"] == "text":
                joined[-1] = _text(joined[-1]["text"] + _BLANK_LINE + part["text"])
            else:
                joined.append(part)
    if any(part["type"] != "text" for part in joined):
        return joined
    return joined[0]["text"] if joined else ""


def _text(text: str) -> Part:
    return {"type": "text", "text": text}
