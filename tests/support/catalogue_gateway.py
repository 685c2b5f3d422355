"""A gateway whose catalogue says something else of a model: another dialect, tools of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

from gateway.catalogue import Catalogue, load_catalogue
from gateway.config import Settings

from tests.support.gateway import Gateway


class CatalogueGateway(Gateway):
    """Serves the catalogue's models, one of them with these fields changed."""

    def __init__(self, settings: Settings, model: str, **fields: Any) -> None:
        super().__init__(settings)
        self._model = model
        self._fields = fields

    @cached_property
    def catalogue(self) -> Catalogue:
        shipped = load_catalogue()
        changed = replace(shipped.models[self._model], **self._fields)
        return replace(shipped, models={**shipped.models, self._model: changed})
