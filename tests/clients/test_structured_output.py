"""`pydantic-ai` on the real local model: output types as tools and as a schema, and tools of its own.

A model of 135M parameters holds to a form because the grammar makes it; what it fills the form with is not judged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, ToolOutput, UsageLimitExceeded, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from tests.support.local_stack import MODEL, LocalStack

pytestmark = pytest.mark.anyio

SETTINGS = ModelSettings(temperature=0.4, seed=7, max_tokens=200)


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Day(BaseModel):
    name: Annotated[str, Field(max_length=10)]
    degrees: Annotated[int, Field(ge=-60, le=60)]


class Forecast(BaseModel):
    city: Annotated[str, Field(min_length=1, max_length=12)]
    unit: Unit
    days: Annotated[list[Day], Field(min_length=1, max_length=2)]
    note: Annotated[str, Field(max_length=20)] | None


@pytest.fixture
async def model(stack: LocalStack, v1: str) -> AsyncIterator[OpenAIChatModel]:
    async with openai.AsyncOpenAI(api_key=stack.api_key, base_url=v1, max_retries=0) as client:
        yield OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))


@pytest.mark.parametrize("output", [ToolOutput(Forecast), NativeOutput(Forecast)], ids=["as a tool", "as a schema"])
async def test_an_output_type_is_filled_at_the_first_try(model: OpenAIChatModel, output: Any) -> None:
    agent = Agent(model, output_type=output, model_settings=SETTINGS, retries=0)

    answer = await agent.run("How is the weather in Oslo?")

    assert isinstance(answer.output, Forecast)
    assert answer.usage.requests == 1


async def test_an_output_type_is_filled_from_a_stream(model: OpenAIChatModel) -> None:
    agent = Agent(model, output_type=NativeOutput(Forecast), model_settings=SETTINGS, retries=0)

    async with agent.run_stream("How is the weather in Oslo?") as answer:
        output = await answer.get_output()

    assert isinstance(output, Forecast)


async def test_a_function_is_called_with_arguments_of_its_types_and_its_result_is_taken_back(
    model: OpenAIChatModel,
) -> None:
    asked: list[tuple[str, int]] = []

    def forecast(unit: Literal["celsius", "fahrenheit"], days: Annotated[int, Field(ge=1, le=9)]) -> str:
        """The weather of the next days."""
        asked.append((unit, days))
        return "It rains."

    # its own setting of this name is refused: an agent must be able to end
    settings = ModelSettings(**SETTINGS, extra_body={"tool_choice": "required"})
    agent = Agent(model, tools=[forecast], model_settings=settings, retries=0)

    with pytest.raises(UsageLimitExceeded):  # "required" calls for ever: the second request is seen to be one more call
        await agent.run("How is the weather?", usage_limits=UsageLimits(request_limit=2))

    assert len(asked) >= 2
    assert all(unit in ("celsius", "fahrenheit") and 1 <= days <= 9 for unit, days in asked)
