"""What must hold of an account when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MEASURES = ("requests", "errors", "prompt", "completion", "cost")
_CLIENT_GONE = 499


def plain(value: Mapping[str, Any]) -> Any:
    """An attribute as Python's."""
    ((kind, content),) = value.items()
    if kind == "N":
        return float(content) if "." in content else int(content)
    if kind == "M":
        return {name: plain(inner) for name, inner in content.items()}
    return content


class Books:
    """All items of one account."""

    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        rows = [{name: plain(value) for name, value in item.items()} for item in items]
        (self.account,) = [row for row in rows if row["sk"] == "ACCOUNT"]
        self.records = [row for row in rows if row["sk"].startswith("USAGE#")]
        self.days = {row["sk"].removeprefix("DAY#"): row for row in rows if row["sk"].startswith("DAY#")}
        self.jobs = [row for row in rows if row["sk"].startswith("JOB#")]

    def wrongs(self, admitted: set[str]) -> Iterator[str]:
        """What is wrong with them, given who was admitted."""
        recorded = Counter(record["request_id"] for record in self.records)
        if recorded != Counter(admitted):
            yield f"admitted {sorted(admitted)}, recorded {dict(recorded)}"
        if self.account["open"]:
            yield f"leases are left: {self.account['open']}"
        for day in {record["day"] for record in self.records} | self.days.keys():
            yield from self._wrongs_of_day(day)

    def _wrongs_of_day(self, day: str) -> Iterator[str]:
        records = [record for record in self.records if record["day"] == day]
        used = sum(record["total_tokens"] for record in records)
        counted = self.account.get(f"t{day}", 0)
        if counted != used:
            yield f"the quota of {day} counts {counted} tokens, the records {used}"
        expected: Counter[str] = Counter()
        for record in records:
            errors = record["http_status"] >= 400 and record["http_status"] != _CLIENT_GONE
            amounts = (1, int(errors), record["prompt_tokens"], record["completion_tokens"], record["cost_nano_usd"])
            for place in (
                "all/",
                f"key/{record['key']}",
                f"model/{record['model']}",
                f"endpoint/{record['endpoint']}",
            ):
                for measure, amount in zip(MEASURES, amounts, strict=True):
                    expected[f"{place}/{measure}"] += amount
        found = {name: value for name, value in self.days.get(day, {}).items() if name.count("/") > 1}
        if +expected != +Counter(found):
            yield f"the day's totals are {found}, the records say {dict(+expected)}"
