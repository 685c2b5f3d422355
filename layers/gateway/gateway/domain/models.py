"""The catalogue's values: models and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

Dialect = str
"""How an engine speaks: one of `DIALECTS`."""
DIALECTS = ("llama.cpp", "vllm")
"""The two containers of DESIGN "Why these parts"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of the catalogue.

    Prices are USD per million tokens. `context_tokens` is the context the engine is started with;
    `max_completion_tokens` bounds what one request may generate and so what it reserves. `image_tokens` is what one
    image takes of the context.
    """

    id: str
    name: str
    owner: str
    created: int
    context_tokens: int
    max_completion_tokens: int
    prompt_usd_per_million: Decimal
    completion_usd_per_million: Decimal
    slots_per_copy: int
    dialect: Dialect
    native_tools: bool = False
    vision: bool = False
    image_tokens: int = 0
    hub_repository: str | None = None
    hub_file: str | None = None
    hub_projector_file: str | None = None
    description: str = ""

    def cost_nano_usd(self, *, prompt_tokens: int, completion_tokens: int) -> int:
        """What these tokens cost, in 10⁻⁹ USD, rounded half up once at the end."""
        exact = self.prompt_usd_per_million * prompt_tokens + self.completion_usd_per_million * completion_tokens
        return int((exact * 1000).to_integral_value(ROUND_HALF_UP))

    def resource_name(self, stack_name: str) -> str:
        """The name of the model's SageMaker endpoint and of its inference component."""
        return f"{stack_name}-{self.resource_slug}"

    @property
    def resource_slug(self) -> str:
        """The part of an AWS resource name that names this model (SageMaker allows letters, digits, hyphens)."""
        return "".join(c if c.isalnum() else "-" for c in self.id).strip("-")


def usd_of_nano(nano_usd: int) -> float:
    """10⁻⁹ USD as the float that goes into JSON."""
    return nano_usd / 1_000_000_000
