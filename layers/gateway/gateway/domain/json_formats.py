"""JSON Schema's formats: which of them are enforced, each as a pattern (2020-12, validation, section 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain.json_pattern import parse_pattern
from gateway.domain.json_pattern_fit import fit

_DATE = (
    "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|(([1-9][0-9])(0[48]|[2468][048]|[13579][26]))-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LABEL = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
_HOST = rf"({_LABEL}\.){{1,3}}[a-z]{{2,12}}"
FORMATS: Mapping[str, str] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "ipv4": rf"^({_OCTET}\.){{3}}{_OCTET}$",
    "hostname": f"^{_HOST}$",
    "email": rf"^[A-Za-z0-9]([A-Za-z0-9_+-]|\.[A-Za-z0-9]){{0,40}}@{_HOST}$",
    "uri": rf"^https?://{_HOST}(/[A-Za-z0-9._~-]{{0,60}}){{0,8}}(\?[A-Za-z0-9._~=&-]{{1,80}})?$",
}
"""The pattern of each format that is enforced, narrower than its RFC. All others are annotations."""


def is_enforced(keywords: Mapping[str, Any]) -> bool:
    """Whether the `format` of a schema is held to: a known one that says more than what stands beside it, and can."""
    known = FORMATS.get(keywords["format"])
    if known is None or keywords.keys() & {"pattern", "enum", "const"}:
        return False
    if not keywords.keys() & {"minLength", "maxLength"}:
        return True
    return fit(parse_pattern(known), int(keywords.get("minLength", 0)), keywords.get("maxLength")) is not None
