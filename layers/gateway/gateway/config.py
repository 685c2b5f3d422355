"""What a deployment sets. The only reader of the environment; AWS's own variables are read by its clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """The environment of a function, read once. Field `table_name` is the variable `TABLE_NAME`, and so on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    table_name: str = Field(description="The DynamoDB table: the only state on the hot path.")
    outbox_queue_url: str = Field(description="The SQS queue for settlements that the table would not take.")
    stack_name: str = Field(
        description="Prefix of the SageMaker endpoints: model M runs on `<stack_name>-<slug of M>`."
    )
    deployed_models: str = Field(
        default="", description="What the stack runs otherwise than the catalogue says: `id=engine/slots/context`, …"
    )
    jobs_queue_url_prefix: str = Field(
        default="", description="URL of the job queues less the slug of the model at the end."
    )
    intake_queue_url: str = Field(default="", description="The SQS queue for steps of batches.")
    callbacks_queue_url: str = Field(default="", description="The SQS queue for callbacks to be made.")
    blob_bucket: str = Field(default="", description="The S3 bucket for files, and texts too large for the table.")
    bus_name: str = Field(default="", description="The EventBridge bus that our events go to.")
    request_timeout_s: Annotated[float, Field(gt=0, le=480)] = Field(
        default=240, description="A generation from slot to last token, seconds; SageMaker's limit is 480."
    )
    line_wait_s: Annotated[float, Field(ge=0, le=120)] = Field(
        default=20, description="How long an interactive request may stand in line for a slot, seconds."
    )
    first_byte_patience_s: Annotated[float, Field(gt=0)] = Field(
        default=10, description="Silence after which a stream gets a comment line, seconds."
    )
    max_body_bytes: Annotated[int, Field(gt=0)] = Field(
        default=5_000_000,
        description="The largest request body; Lambda's payload limit is 6 MB, base64 and headers included.",
    )
    search_backend: Literal["none", "brave", "tavily", "searxng", "ddgs"] = Field(
        default="none", description="Who searches the web for `web_search`."
    )
    search_secret_id: str = Field(default="", description="The secret with Brave's or Tavily's key.")
    search_url: str = Field(default="", description="Where SearXNG answers.")
    search_budget_s: Annotated[float, Field(gt=0, le=30)] = Field(
        default=5, description="How long one search may take, its retry included, seconds."
    )
    search_budget_usd: Annotated[float, Field(ge=0)] = Field(
        default=0.01,
        description="What the search of one request may cost, USD; a dearer back end counts as one that is down.",
    )
    aws_lwa_snapstart_before_checkpoint_path: str = Field(
        default="", description="The chat application's route for what comes before a snapshot; none without it."
    )
    aws_lwa_snapstart_after_restore_path: str = Field(
        default="", description="The chat application's route for what comes after a snapshot; none without it."
    )
    metrics_namespace: str = Field(default="StudioLM", description="The CloudWatch namespace of EMF metrics.")
    log_level: str = Field(default="INFO", description="The level of our loggers.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The settings in `environment`. Raises pydantic's ValidationError naming the variables that are wrong."""
        present = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        return cls.model_validate(present)
