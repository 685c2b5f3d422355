"""What we make of any conversation, under the template engine of llama.cpp: it renders, and every word is in it.

With the local model's own template, and with Gemma 3's, which raises where its roles do not alternate.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from gateway.domain.prompt import fold_messages
from hypothesis import HealthCheck, example, given, settings

from tests.support.accounts import new_model
from tests.support.conversations import CONVERSATIONS, Message, words_in, words_of
from tests.support.corpora import gemma_template
from tests.support.real_engine import serve_model

pytestmark = pytest.mark.model


@pytest.fixture(scope="module", params=["the model's own", "Gemma's"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    template = gemma_template() if request.param == "Gemma's" else ""
    with serve_model(context_tokens=512, sequences=1, template=template) as url:
        yield url


def rendered(engine: str, messages: list[Message]) -> str:
    """The prompt that the engine makes. Raises HTTPError where its template refuses."""
    body = json.dumps({"messages": messages}).encode()
    request = urllib.request.Request(f"{engine}/apply-template", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["prompt"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@example(messages=[{"role": "assistant", "content": "<1>"}, {"role": "assistant", "content": "<2>"}])
@example(messages=[{"role": "user", "content": ""}, {"role": "system", "content": []}])
@given(messages=CONVERSATIONS)
def test_any_conversation_renders_with_every_word_in_its_order(engine: str, messages: list[Message]) -> None:
    prompt = rendered(engine, fold_messages(messages, model=new_model("m")))
    assert words_in(prompt) == words_of(messages)


def test_gemma_s_template_refuses_what_is_not_folded(engine: str, request: pytest.FixtureRequest) -> None:
    twice = [{"role": "user", "content": "<1>"}, {"role": "user", "content": "<2>"}]
    if request.node.callspec.params["engine"] != "Gemma's":
        assert words_in(rendered(engine, twice)) == ["1", "2"]
        return
    with pytest.raises(urllib.error.HTTPError) as refused:
        rendered(engine, twice)
    assert b"must alternate" in refused.value.read()
    refused.value.close()
