"""`instructor`, unmodified, in each of its modes that a schema or a form holds. Prints one JSON object of reports.

It runs in an environment of its own: no release of it installs beside the `rich` that our own command needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Literal

import instructor
from instructor import Mode
from openai import OpenAI
from pydantic import BaseModel, ConfigDict, Field


class Day(BaseModel):
    name: Annotated[str, Field(max_length=10)]
    degrees: Annotated[int, Field(ge=-60, le=60)]


class Forecast(BaseModel):
    """The weather of the next days."""

    city: Annotated[str, Field(min_length=1, max_length=12)]
    unit: Literal["celsius", "fahrenheit"]
    days: Annotated[list[Day], Field(min_length=1, max_length=2)]
    note: Annotated[str, Field(max_length=20)] | None


class TaggedForecast(Forecast):
    """The same with a set, which instructor's own partial types can't be while they stream."""

    tags: Annotated[set[Annotated[str, Field(max_length=6)]], Field(max_length=4)]


class AnyObject(BaseModel):
    """JSON mode without a schema promises an object and no more."""

    model_config = ConfigDict(extra="allow")


QUESTION = [{"role": "user", "content": "How is the weather in Oslo?"}]
ASKED: dict[str, Any] = {
    "model": os.environ["MODEL"],
    "messages": QUESTION,
    "temperature": 0.4,
    "seed": 7,
    "max_tokens": 200,
    "max_retries": 0,
}


def client(mode: Mode) -> instructor.Instructor:
    """The client as its documentation makes it for a server of one's own."""
    openai = OpenAI(api_key=os.environ["API_KEY"], base_url=f"{os.environ['BASE_URL']}/v1", max_retries=0)
    return instructor.from_openai(openai, mode=mode)


def filled(mode: Mode) -> Any:
    """A whole answer of the type."""
    return client(mode).create(response_model=TaggedForecast, **ASKED).model_dump(mode="json")


def streamed(mode: Mode) -> Any:
    """The last state of an answer that is filled while it streams."""
    states = list(client(mode).create_partial(response_model=Forecast, **ASKED))
    return {"states": len(states), **Forecast.model_validate(states[-1].model_dump()).model_dump(mode="json")}


def called(mode: Mode) -> Any:
    """Calls of several tools at once, each of a type."""
    calls = client(mode).create(response_model=Iterable[Day | Forecast], tool_choice="required", **ASKED)
    return [type(call).__name__ for call in calls]


def formed(mode: Mode) -> Any:
    """An object of any form."""
    return client(mode).create(response_model=AnyObject, **ASKED).model_dump()


def worded(mode: Mode) -> Any:
    """An answer of the type in a mode that asks for JSON in words only: the form comes of our own field."""
    form = {"type": "json", "schema": Forecast.model_json_schema()}
    return client(mode).create(response_model=Forecast, response_format=form, **ASKED).model_dump(mode="json")


def listed(mode: Mode) -> Any:
    """The first items of a list that streams; the model does not end it, so the client leaves."""
    return [day.model_dump() for day in islice(client(mode).create_iterable(response_model=Day, **ASKED), 3)]


def main() -> None:
    """Runs all modes."""
    reports = {
        "TOOLS": filled(Mode.TOOLS),
        "TOOLS streamed": streamed(Mode.TOOLS),
        "PARALLEL_TOOLS": called(Mode.PARALLEL_TOOLS),
        "TOOLS_STRICT": filled(Mode.TOOLS_STRICT),
        "JSON_SCHEMA": filled(Mode.JSON_SCHEMA),
        "JSON_SCHEMA streamed": streamed(Mode.JSON_SCHEMA),
        "JSON": formed(Mode.JSON),
        "MD_JSON": worded(Mode.MD_JSON),
        "JSON_O1": worded(Mode.JSON_O1),
        "TOOLS iterable": listed(Mode.TOOLS),
        "JSON_SCHEMA iterable": listed(Mode.JSON_SCHEMA),
    }
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
