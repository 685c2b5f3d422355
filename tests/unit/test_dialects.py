"""The same request in both engines' dialects: whole bodies as files that a person reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gateway.application.orders import Orders
from gateway.catalogue import load_catalogue
from gateway.domain.chat import parse_chat_request
from gateway.domain.models import Dialect

from tests.support.accounts import new_customer, new_model
from tests.support.fakes import NumberedIds

FOLDER = Path(__file__).parents[1] / "golden" / "dialects"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def body_of(request: dict[str, Any], dialect: Dialect, *, native_tools: bool = False) -> dict[str, Any]:
    """The body that a model's engine gets."""
    model = replace(new_model("m", dialect=dialect), native_tools=native_tools)
    orders = Orders(replace(load_catalogue(), models={"m": model}), NumberedIds())
    sent = parse_chat_request(json.dumps({"model": "m", **request}).encode())
    (choice,) = orders.of_chat(sent, key=new_customer().key).choices
    return dict(choice.body)


@pytest.mark.parametrize("dialect", ["llama.cpp", "vllm"])
@pytest.mark.parametrize("name", NAMES)
def test_the_golden_bodies_hold(name: str, dialect: Dialect) -> None:
    golden = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    common, apart = golden["body"]["both"], golden["body"][dialect]
    assert body_of(golden["request"], dialect, native_tools=golden["native_tools"]) == {**common, **apart}


def test_the_dialects_differ_in_how_a_form_and_the_counts_are_asked_for_and_in_nothing_else() -> None:
    differing = {
        field
        for name in NAMES
        for dialect in ("llama.cpp", "vllm")
        for field in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["body"][dialect]
    }
    assert differing == {"grammar", "response_format", "stream_options", "timings_per_token"}


def test_vllm_is_sent_no_field_that_its_versions_do_not_all_have() -> None:
    body = body_of({"messages": [{"role": "user", "content": "hi"}], "response_format": "json"}, "vllm")
    assert not {"guided_json", "guided_decoding_backend", "structured_outputs", "grammar"} & body.keys()
    form = body["response_format"]
    assert (form["type"], form["json_schema"]["name"]) == ("json_schema", "response")
    jsonschema.Draft202012Validator.check_schema(form["json_schema"]["schema"])
