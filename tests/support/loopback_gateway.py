"""A gateway that calls hosts on loopback, where the real one calls the public internet only."""

from __future__ import annotations

from functools import cached_property

from gateway.application.ports import Web
from gateway.config import Settings

from tests.support.gateway import Gateway


class LoopbackGateway(Gateway):
    """Calls clients' hosts by `web`."""

    def __init__(self, settings: Settings, web: Web) -> None:
        super().__init__(settings)
        self._web = web

    @cached_property
    def image_web(self) -> Web:
        return self._web

    @cached_property
    def callback_web(self) -> Web:
        return self._web
