"""Who generates: for the chat function, and for the worker with its queued requests."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.sagemaker import SageMakerEngine
from gateway.application.generation import Generate
from gateway.application.images import LoadImages
from gateway.application.ports import SearchBackend, Web
from gateway.application.queueing import Queue
from gateway.application.searching import WebSearch
from gateway.bootstrap.parts.books import Books
from gateway.bootstrap.parts.ordering import Ordering
from gateway.bootstrap.parts.searching import choose_search_backend

IMAGE_TIMEOUT_S = 10.0
"""A host that a client names has so long to answer, redirects and body included."""


class Generation(Books, Ordering):
    """The one way from an order to an answer."""

    @cached_property
    def generate(self) -> Generate:
        return Generate(
            ledger=self.ledger,
            lines=self.lines,
            queue=Queue(self.lines, self.clock, wait_s=self.settings.line_wait_s),
            engine=SageMakerEngine(self.clients, self.settings.stack_name),
            search=WebSearch(self.search_backend, self.clock, self.settings.search_budget_usd),
            load_images=LoadImages(lambda: self.image_web),
            settle=self.settle,
            bus=self.bus,
            clock=self.clock,
            timeout_s=self.settings.request_timeout_s,
            patience_s=self.settings.first_byte_patience_s,
        )

    @cached_property
    def search_backend(self) -> SearchBackend | None:
        """Who searches the web, if the stack has anybody who does."""
        name = self.settings.search_backend
        if name == "none":
            return None
        price_usd = float(self.catalogue.search_prices_usd[name])
        return choose_search_backend(self.settings, self.clients, usd_per_request=price_usd)

    @cached_property
    def image_web(self) -> Web:
        """What images are fetched by. A chat without a linked one does not pay for importing httpx."""
        from gateway.adapters.web.guarded import GuardedWeb  # noqa: PLC0415

        return GuardedWeb(ports=frozenset({443}), timeout_s=IMAGE_TIMEOUT_S)
