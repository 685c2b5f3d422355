"""What a scene's numbers must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Numbers = Mapping[str, Any]

GOODPUT_PERCENT = 90
RSS_GROWTH_PERCENT = 5
"""The long scene's memory from its second fifth to its fourth; an allocator's breath, no leak, is below it."""


def _all_whole(numbers: Numbers) -> bool:
    return bool(numbers["whole"] == numbers["streams"])


PROMISES: Mapping[str, Mapping[str, Callable[[Numbers], bool]]] = {
    "many_streams": {
        "every stream is whole": _all_whole,
        "no frame is lost": lambda n: n["frames_lost"] == 0,
    },
    "overload": {
        "every refusal says when to come again": lambda n: n["refused_without_retry_after"] == 0,
        "refusals are 503": lambda n: all(reason.startswith("503 ") for reason in n["refused_by_reason"]),
        "most was refused": lambda n: n["refused"] > 0,
        "nothing is cut": lambda n: n["cut"] == 0,
    },
    "engine_failures": {
        "a silent engine is told as its timeout": lambda n: n["hangs"] == {"engine_timeout": n["streams"]},
        "one that goes on serves": lambda n: n["goes on"] == {"whole": n["streams"]},
        "a dead one is told as a broken stream": lambda n: n["dies"] == {"stream_broken": n["streams"]},
        "one that is away is a refusal": lambda n: "whole" not in n["is away"] and "cut" not in n["is away"],
        "one that is back serves": lambda n: n["is back"] == {"whole": n["streams"]},
    },
    "throttled_table": {
        "refusals are 503": lambda n: set(n["refused_by_reason"]) <= {"503 ledger_unavailable"},
        "every refusal says when to come again": lambda n: n["refused_without_retry_after"] == 0,
        "something was refused, and something served": lambda n: bool(n["refused_by_reason"]) and n["whole"] > 0,
        "what was served is billed": lambda n: n["records"].get("ok", 0) == n["whole"],
    },
    "clock_jumps": {
        "a jump forward cuts nothing": lambda n: n["whole_after_forward"] == n["streams"],
        "a jump back cuts nothing": lambda n: n["whole_after_back"] == n["streams"],
    },
    "graceful_stop": {
        "open streams are finished": _all_whole,
        "newcomers are refused": lambda n: n["newcomers_refused"] == n["newcomers"] > 0,
        "all are billed": lambda n: n["records"] == {"ok": n["streams"]},
    },
    "kill": {"nothing dead is billed": lambda n: n["records"] == {"lost": n["streams"]}},
}
MEASURED: Mapping[str, Mapping[str, Callable[[Numbers], bool]]] = {
    "many_streams": {"memory is flat": lambda n: n["rss_growth_percent"] < RSS_GROWTH_PERCENT},
    "overload": {
        "goodput is at least nine tenths of capacity": lambda n: n["goodput_percent"] >= GOODPUT_PERCENT,
        # it asks for three fifths of the capacity, and half is its fair share
        "who asks for little is served": lambda n: n["modest_served"] >= 0.6 * n["modest_offered"],
    },
}
"""What a machine has to be left alone for: asked of a whole run, not of a short one in CI."""


def wrongs_of(scene: str, numbers: Numbers, *, whole: bool = True) -> list[str]:
    """The promises that these numbers break, and what was wrong with the books."""
    promises = {**PROMISES[scene], **(MEASURED.get(scene, {}) if whole else {})}
    return [*(promise for promise, is_kept in promises.items() if not is_kept(numbers)), *numbers["wrong"]]
