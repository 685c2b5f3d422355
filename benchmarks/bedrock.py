"""Amazon Bedrock as its clients see it: the two listings, Converse, and ConverseStream in event-stream messages.

The words are the scripted upstream's; the shapes are those of the Bedrock API's reference. A piece is a frame: the
first carries what goes before its text, the last what comes after it, as in the other faces of the upstream.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from infra.local.event_stream import encode_message

MODEL_ID = "studiolm.scripted-v1"
_ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL_ID}"
_STOP = "end_turn"
_LISTED = {
    "modelArn": _ARN,
    "modelId": MODEL_ID,
    "modelName": "Scripted",
    "providerName": "StudioLM",
    "inputModalities": ["TEXT"],
    "outputModalities": ["TEXT"],
    "responseStreamingSupported": True,
    "inferenceTypesSupported": ["ON_DEMAND"],
    "modelLifecycle": {"status": "ACTIVE"},
}
LISTINGS = {
    "/foundation-models": json.dumps({"modelSummaries": [_LISTED]}).encode(),
    "/inference-profiles": json.dumps({"inferenceProfileSummaries": []}).encode(),
}
"""Path to body of the two calls that tell which models there are."""


@cache
def converse(words: tuple[str, ...], prompt_tokens: int) -> bytes:
    """The body of Converse's answer."""
    message = {"role": "assistant", "content": [{"text": "".join(words)}]}
    counted = _counted(prompt_tokens, len(words))
    return json.dumps({"output": {"message": message}, "stopReason": _STOP, **counted}).encode()


@cache
def converse_stream(words: tuple[str, ...], prompt_tokens: int) -> tuple[bytes, ...]:
    """ConverseStream's answer, a piece for each word."""
    pieces = [_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in words]
    pieces[0] = _event("messageStart", {"role": "assistant"}) + pieces[0]
    pieces[-1] += _event("contentBlockStop", {"contentBlockIndex": 0})
    pieces[-1] += _event("messageStop", {"stopReason": _STOP})
    pieces[-1] += _event("metadata", _counted(prompt_tokens, len(words)))
    return tuple(pieces)


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, json.dumps(fields, separators=(",", ":")).encode())


def _counted(prompt_tokens: int, answer_tokens: int) -> dict[str, Any]:
    total = prompt_tokens + answer_tokens
    usage = {"inputTokens": prompt_tokens, "outputTokens": answer_tokens, "totalTokens": total}
    return {"usage": usage, "metrics": {"latencyMs": 1}}
