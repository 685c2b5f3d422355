"""A gateway that calls hosts on loopback, where the real one calls the public internet only."""

from __future__ import annotations

from gateway.application.ports import Web
from gateway.bootstrap import Gateway
from gateway.config import Settings


class LoopbackGateway(Gateway):
    """Calls clients' hosts by `web`."""

    def __init__(self, settings: Settings, web: Web) -> None:
        super().__init__(settings)
        self._web = web

    def new_image_web(self) -> Web:
        return self._web

    def new_callback_web(self) -> Web:
        return self._web
