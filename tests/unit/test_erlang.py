"""Erlang's formulas against tables and against themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.erlang import longer_share, mean_wait_s, servers_for, waiting_share

offers = st.floats(0.01, 5000)


@pytest.mark.parametrize(
    ("servers", "offered", "share"),
    [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (10, 5.0, 0.036105), (100, 90.0, 0.2170)],
)
def test_the_share_that_waits_is_that_of_the_tables(servers: int, offered: float, share: float) -> None:
    assert waiting_share(servers, offered) == pytest.approx(share, rel=1e-3)


def test_one_server_is_the_queue_of_the_textbook() -> None:
    assert longer_share(1, 0.8, service_s=10, wait_s=50) == pytest.approx(0.8 * math.exp(-0.2 * 5))
    assert mean_wait_s(1, 0.8, service_s=10) == pytest.approx(50)


@given(offers, st.floats(1, 300), st.floats(1, 60))
def test_the_fewest_servers_keep_the_promise_and_one_fewer_does_not(
    offered: float, service_s: float, wait_s: float
) -> None:
    servers = servers_for(offered, service_s=service_s, wait_s=wait_s, waiting=0.05, longer=0.001)
    kept = [
        waiting_share(each, offered) <= 0.05
        and longer_share(each, offered, service_s=service_s, wait_s=wait_s) <= 0.001
        for each in (servers, servers - 1)
    ]
    assert kept == [True, False]


@given(st.integers(1, 200), st.floats(0.01, 300))
def test_too_many_for_the_servers_all_wait_without_end(servers: int, over: float) -> None:
    assert waiting_share(servers, servers + over) == 1
    assert math.isinf(mean_wait_s(servers, servers + over, service_s=1))
