"""Conversations to draw: all that OpenAI's API takes, in any order, with words that can be found again."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Message = dict[str, Any]

WORDS = st.integers(0, 10**6).map(lambda number: f"<{number}>")


def parts_of(kind: str) -> st.SearchStrategy[list[Message]]:
    """Up to three parts of this kind."""
    return st.lists(WORDS, max_size=3).map(lambda words: [{"type": kind, kind: word} for word in words])


CONTENTS = WORDS | st.just("") | parts_of("text")
ARGUMENTS = WORDS.map(lambda word: json.dumps({"q": word})) | WORDS.map("{{{}".format)
CALLS = st.lists(
    st.builds(
        lambda name, arguments: {
            "id": f"call_{name}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        },
        st.sampled_from(["search", "weather"]),
        ARGUMENTS,
    ),
    min_size=1,
    max_size=2,
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user"]), "content": CONTENTS},
    ),
    st.builds(lambda content: {"role": "assistant", "content": content}, CONTENTS | parts_of("refusal")),
    st.builds(lambda word: {"role": "assistant", "content": None, "refusal": word}, WORDS),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "tool_calls": CALLS}, optional={"content": st.none() | CONTENTS}
    ),
    st.builds(
        lambda id_, content: {"role": "tool", "tool_call_id": id_, "content": content},
        st.sampled_from(["call_search", "call_unheard_of"]),
        CONTENTS,
    ),
)
NAMED = st.builds(lambda content: {"role": "user", "name": "ada", "content": content}, CONTENTS)
CONVERSATIONS = st.lists(MESSAGES | NAMED, min_size=1, max_size=8)


def words_of(messages: list[Message]) -> list[str]:
    """The marked words in reading order: of an assistant, the content before its calls."""
    ordered = [
        {key: message[key] for key in ("content", "refusal", "tool_calls") if key in message} for message in messages
    ]
    return words_in(json.dumps(ordered))


def words_in(text: str) -> list[str]:
    """The marked words of a text."""
    return [piece.split(">")[0] for piece in text.split("<")[1:] if piece.split(">")[0].isdecimal()]
