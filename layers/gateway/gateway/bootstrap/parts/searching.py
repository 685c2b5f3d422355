"""Which back end searches the web: the one place that knows them all, and imports the one that was chosen."""

from __future__ import annotations

from gateway.adapters.aws.clients import Clients
from gateway.application.ports import SearchBackend
from gateway.config import Settings


def choose_search_backend(settings: Settings, clients: Clients, *, usd_per_request: float) -> SearchBackend:
    """The back end that `settings` name, which is not "none"."""
    budget_s = settings.search_budget_s
    if settings.search_backend == "ddgs":
        from gateway.adapters.search.ddgs import DdgsSearch  # noqa: PLC0415

        return DdgsSearch(budget_s=budget_s, usd_per_request=usd_per_request)
    if settings.search_backend == "searxng":
        from gateway.adapters.search.searxng import SearxngSearch  # noqa: PLC0415

        return SearxngSearch(base_url=settings.search_url, budget_s=budget_s, usd_per_request=usd_per_request)
    from gateway.adapters.aws.secrets import SecretsManagerKey  # noqa: PLC0415

    key = SecretsManagerKey(clients, settings.search_secret_id)
    if settings.search_backend == "brave":
        from gateway.adapters.search.brave import BraveSearch  # noqa: PLC0415

        return BraveSearch(key, usd_per_request=usd_per_request, budget_s=budget_s)
    from gateway.adapters.search.tavily import TavilySearch  # noqa: PLC0415

    return TavilySearch(key, usd_per_request=usd_per_request, budget_s=budget_s)
