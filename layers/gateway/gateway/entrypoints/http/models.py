"""Models and usage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.application.orders import Orders
from gateway.application.ports import Lines
from gateway.application.reporting import UsageReport
from gateway.domain.models import Model
from gateway.entrypoints.http.desk import Caller, Operation


@dataclass(frozen=True, slots=True)
class ModelRoutes:
    """GET /v1/models, GET /v1/models/{id}, GET /v1/usage."""

    orders: Orders
    lines: Lines
    report: UsageReport

    def operations(self) -> list[Operation]:
        """The routes; any good key may use them."""
        return [
            Operation("GET", "/v1/models", self._list, None),
            Operation("GET", "/v1/models/{id}", self._show, None),
            Operation("GET", "/v1/usage", self._usage, None),
        ]

    async def _list(self, _caller: Caller) -> Mapping[str, Any]:
        models = self.orders.catalogue.models.values()
        return {"object": "list", "data": await asyncio.gather(*(self._describe(model) for model in models))}

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return await self._describe(self.orders.model(caller.id))

    async def _usage(self, caller: Caller) -> Mapping[str, Any]:
        return await self.report.of(caller.account)

    async def _describe(self, model: Model) -> dict[str, Any]:
        line = await self.lines.look(model.id)
        return {
            "id": model.id,
            "object": "model",
            "created": model.created,
            "owned_by": model.owner,
            "type": "chat",
            "name": model.name,
            "description": model.description,
            "context_length": model.context_tokens,
            "max_completion_tokens": model.max_completion_tokens,
            "input_modalities": ["text", "image"] if model.vision else ["text"],
            "pricing": {
                "currency": "USD",
                "per_tokens": 1_000_000,
                "prompt": float(model.prompt_usd_per_million),
                "completion": float(model.completion_usd_per_million),
            },
            "status": line.status,
        }
