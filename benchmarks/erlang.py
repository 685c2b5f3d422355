"""The waiting of a crowd before servers of one kind: Erlang's formulas, and the fewest servers that keep a promise.

Requests come at random (Poisson) and hold their server for exponential times. Answers that vary less make a shorter
line (Allen and Cunneen: times half of one plus their squared coefficient of variation).
"""

from __future__ import annotations

from math import ceil, exp, floor, sqrt

_NEGLIGIBLE = 1e-12


def waiting_share(servers: int, offered: float) -> float:
    """The share of requests that find no server free (Erlang C); `offered` is how many are served on average."""
    if servers <= offered:
        return 1.0
    term = inverse_blocking = 1.0  # 1 / Erlang B = Σ servers! / (servers - j)! / offered^j
    for left in range(servers, 0, -1):
        term *= left / offered
        inverse_blocking += term
        if left < offered and term < _NEGLIGIBLE * inverse_blocking:
            break
    blocking = 1 / inverse_blocking
    return blocking / (1 - offered / servers * (1 - blocking))


def longer_share(servers: int, offered: float, *, service_s: float, wait_s: float) -> float:
    """The share of requests that wait for longer than this."""
    spare = max(0.0, servers - offered)
    return waiting_share(servers, offered) * exp(-spare * wait_s / service_s)


def mean_wait_s(servers: int, offered: float, *, service_s: float) -> float:
    """The mean wait of the requests that do wait; infinite where the servers can't keep up."""
    return service_s / (servers - offered) if servers > offered else float("inf")


def servers_for(offered: float, *, service_s: float, wait_s: float, waiting: float, longer: float) -> int:
    """The fewest servers with which at most these shares of requests wait at all, and longer than `wait_s`."""

    def keep(servers: int) -> bool:
        return (
            waiting_share(servers, offered) <= waiting
            and longer_share(servers, offered, service_s=service_s, wait_s=wait_s) <= longer
        )

    too_few, enough = floor(offered), ceil(offered) + 1
    step = max(1, ceil(sqrt(offered)))
    while not keep(enough):
        too_few, enough = enough, enough + step
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if keep(middle) else (middle, enough)
    return enough
