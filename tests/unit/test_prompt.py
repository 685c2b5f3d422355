"""Any legal conversation becomes one that Gemma's and SmolLM2's templates take."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.models import Model
from gateway.domain.prompt import fold_messages
from hypothesis import given, settings

from tests.support.conversations import CONVERSATIONS, words_of

TEXT_ONLY = Model(
    id="m",
    name="M",
    owner="o",
    created=0,
    context_tokens=8192,
    max_completion_tokens=1000,
    prompt_usd_per_million=Decimal(1),
    completion_usd_per_million=Decimal(1),
    slots_per_copy=1,
    dialect="llama.cpp",
)
SEEING = replace(TEXT_ONLY, vision=True)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@settings(deadline=None)
@given(messages=CONVERSATIONS)
def test_the_folded_conversation_alternates_and_ends_with_the_user(messages: list[dict[str, Any]]) -> None:
    roles = [message["role"] for message in fold_messages(messages, model=TEXT_ONLY)]
    turns = roles[1:] if roles[0] == "system" else roles
    assert turns == [("user", "assistant")[index % 2] for index in range(len(turns))]
    assert turns[-1] == "user"


@settings(deadline=None)
@given(messages=CONVERSATIONS)
def test_every_text_survives_in_its_order(messages: list[dict[str, Any]]) -> None:
    assert words_of(fold_messages(messages, model=TEXT_ONLY)) == words_of(messages)


@settings(deadline=None)
@given(messages=CONVERSATIONS)
def test_folding_twice_is_folding_once(messages: list[dict[str, Any]]) -> None:
    folded = fold_messages(messages, model=TEXT_ONLY)
    assert fold_messages(folded, model=TEXT_ONLY) == folded


def test_the_first_system_and_developer_texts_become_one_system_message() -> None:
    assert fold_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Hi"},
        ],
        model=TEXT_ONLY,
    ) == [{"role": "system", "content": "Be brief.\n\nBe kind."}, {"role": "user", "content": "Hi"}]


def test_a_later_system_message_joins_the_next_user_turn_and_is_marked() -> None:
    folded = fold_messages(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "system", "content": "Speak French."},
            {"role": "user", "content": "Who are you?"},
        ],
        model=TEXT_ONLY,
    )
    assert folded[-1] == {
        "role": "user",
        "content": "Instructions from the system:\n\nSpeak French.\n\nWho are you?",
    }


def test_calls_are_written_as_the_model_writes_them_and_results_name_their_tool() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    folded = fold_messages(
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "3 degrees"},
            {"role": "tool", "tool_call_id": "call_unknown", "content": "?"},
        ],
        model=TEXT_ONLY,
    )
    assert folded[1:] == [
        {"role": "assistant", "content": '{"tool": "weather", "arguments": {"city": "Oslo"}}'},
        {"role": "user", "content": "Result of weather (call_1):\n3 degrees\n\nResult of call_unknown:\n?"},
    ]


def test_an_opening_assistant_message_gets_an_empty_user_turn_before_it() -> None:
    folded = fold_messages([{"role": "assistant", "content": "Hello"}], model=TEXT_ONLY)
    assert [(message["role"], message["content"]) for message in folded] == [
        ("user", ""),
        ("assistant", "Hello"),
        ("user", ""),
    ]


def test_images_stay_where_they_are_between_the_texts() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, IMAGE, {"type": "text", "text": "c"}]
    folded = fold_messages([{"role": "user", "content": content}, {"role": "user", "content": "d"}], model=SEEING)
    assert folded == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a\n\nb"}, IMAGE, {"type": "text", "text": "c\n\nd"}],
        }
    ]
    assert fold_messages(folded, model=SEEING) == folded


def test_a_speaker_with_a_name_is_named() -> None:
    folded = fold_messages([{"role": "user", "name": "ada", "content": "Hi"}], model=TEXT_ONLY)
    assert folded == [{"role": "user", "content": "ada:\n\nHi"}]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}, "messages[1].content[1]"),
        ({"role": "user", "content": None}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "messages[1].content[0].text"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0]"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
            "messages[1].content[0].image_url.url",
        ),
        ({"role": "user", "content": "x", "name": 1}, "messages[1].name"),
        ({"role": "function", "content": "x"}, "messages[1].role"),
        ("x", "messages[1]"),
        ({"role": "assistant", "content": None}, "messages[1].content"),
        ({"role": "assistant", "content": "x", "function_call": {}}, "messages[1].function_call"),
        ({"role": "assistant", "refusal": 1}, "messages[1].refusal"),
        ({"role": "assistant", "tool_calls": [1]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": "x"}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [CALL | {"id": 1}]}, "messages[1].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]}, "messages[1].tool_calls[0].type"),
        ({"role": "assistant", "tool_calls": [CALL | {"function": 1}]}, "messages[1].tool_calls[0].function"),
        (
            {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f"}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
    ],
)
def test_an_illegal_message_is_named_exactly(message: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fold_messages([{"role": "user", "content": "x"}, message], model=TEXT_ONLY)
    assert refused.value.param == param


def test_no_message_at_all_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        fold_messages([], model=TEXT_ONLY)
    assert refused.value.param == "messages"


def test_only_users_and_tools_show_images() -> None:
    with pytest.raises(InvalidRequest) as refused:
        fold_messages([{"role": "system", "content": [IMAGE]}], model=SEEING)
    assert refused.value.param == "messages[0].content[0]"


def test_a_bad_message_is_named_by_its_own_place_also_behind_instructions_of_ours() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": 5}]
    with pytest.raises(InvalidRequest) as caught:
        fold_messages(messages, model=TEXT_ONLY, instructions="Answer with JSON only.")
    assert caught.value.param == "messages[1].content"


def test_instructions_of_ours_come_before_the_systems() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    folded = fold_messages(messages, model=TEXT_ONLY, instructions="Answer with JSON only.")
    assert folded[0] == {"role": "system", "content": "Answer with JSON only.\n\nBe brief."}
