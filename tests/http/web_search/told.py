"""Answers after a search, whichever face told them, and what the scripted engine says for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.asking import Asker
from tests.support.engine_pieces import whole
from tests.support.http_client import Response
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import DONE, read_events, text_of
from tests.support.stack import OpenedAccount, Stack

YES = '{"search": true, "query": "eiffel tower height"}'
NO = '{"search": false, "query": ""}'
QUERY = '{"query": "eiffel tower height"}'
ASKED = {"auto": YES, "force": QUERY, "images": QUERY}
FACES = pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
TOWER = "https://en.example.org/tower"
SHOWN = "![Tower by night](https://img.example.org/1.jpg)\n\n![Tower by day](https://img.example.org/2.jpg)\n\n"


def says(engine: ScriptedEngine, *answers: str) -> None:
    """The engine gives these answers in turn, each in pieces of four characters."""
    engine.scripts = [Script(pieces=whole(*(text[at : at + 4] for at in range(0, len(text), 4)))) for text in answers]


class Told:
    """One choice of an answer, whichever face told it."""

    def __init__(self, response: Response, chunks: list[bytes], choice: int = 0) -> None:
        self.response = response
        if not chunks:
            body = response.json()
            message = body["choices"][choice]["message"]
            self.content: str = message["content"]
            self.annotations: list[dict[str, Any]] = message.get("annotations", [])
            self.top: dict[str, Any] = body
            self.usage: dict[str, Any] = body["usage"]
            return
        *events, done = read_events(chunks)
        assert done == DONE
        self.content = text_of(events, choice=choice)
        deltas = [c["delta"] for event in events for c in event["choices"] if c["index"] == choice]
        self.annotations = [one for delta in deltas for one in delta.get("annotations", [])]
        self.top = {name: value for event in events for name, value in event.items()}
        self.usage = next(event["usage"] for event in events if event.get("usage"))

    @property
    def cited(self) -> list[tuple[str, str]]:
        """What is marked, and with which page."""
        citations = [annotation["url_citation"] for annotation in self.annotations]
        assert all(annotation["type"] == "url_citation" for annotation in self.annotations)
        return [(self.content[one["start_index"] : one["end_index"]], one["url"]) for one in citations]


def told(ask: Asker, *, stream: bool, choice: int = 0, **fields: Any) -> Told:
    """The good answer to a request with these fields."""
    response, chunks = ask.stream(**fields) if stream else (ask(**fields), [])
    assert response.status == 200, response.body
    return Told(response, chunks, choice)


def nothing_is_left(stack: Stack, account: OpenedAccount) -> None:
    """No lease, no slot, and nothing charged."""
    left = stack.account_of(account)
    assert (dict(left.open), left.tokens_today) == ({}, 0)
    assert dict(stack.line().open) == {}
