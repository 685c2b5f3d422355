"""Reading what clients send: JSON within bounds, and messages that name the field, what it takes and what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from gateway.domain.errors import InvalidRequest

MAX_NUMBER = 1e300
"""Past this a JSON number is no parameter of ours; Python would read 1e999 as infinity."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Last among an integer's annotations. JSON has one kind of number: 8.0 is the integer 8, and some write it so."""


class WireModel(BaseModel):
    """A request body: strict types, unknown fields kept aside so that the answer can name them."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Fields that this API does not know; they were ignored (CONTRACT "Chat request")."""
        return tuple(self.model_extra or ())


Request = TypeVar("Request", bound=WireModel)


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises InvalidRequest for anything else, NaN and lone surrogates included."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is not valid JSON: it is nested too deeply.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body must be a JSON object, got {describe(value)}.")
    return value


def parse_request(kind: type[Request], fields: Mapping[str, Any], *, expected: Mapping[str, str]) -> Request:
    """`fields` as a request of this kind; a null optional field is an absent one, as OpenAI's clients mean it.

    `expected` says for each field in words what it takes. Raises InvalidRequest naming the first bad field.
    """
    present = {name: value for name, value in fields.items() if value is not None}
    try:
        return kind.model_validate(present)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False, include_context=False)[0], expected) from None


def _explain(error: ErrorDetails, expected: Mapping[str, str]) -> InvalidRequest:
    location = error["loc"]
    param = json_path(location)
    if error["type"] == "missing":
        return InvalidRequest(f"'{param}' is required.", param=param)
    # an entry of an array or of an object has a rule of its own, under `field.*`
    generic = ".".join(str(step) if isinstance(step, str) else "*" for step in location)
    entry = f"{location[0]}.*" if len(location) > 1 else ""
    wanted = expected.get(generic) or expected.get(entry) or expected.get(str(location[0]))
    if wanted is None:
        return InvalidRequest(f"'{param}': {error['msg']}, got {describe(error['input'])}.", param=param)
    return wrong_field(param, wanted, error["input"])


def wrong_field(param: str, wanted: str, came: Any) -> InvalidRequest:
    """The refusal of a field that holds `came`, which is None where there is nothing, and may only be `wanted`."""
    got = "nothing" if came is None else describe(came)
    return InvalidRequest(f"'{param}' must be {wanted}, got {got}.", param=param)


def json_path(location: tuple[int | str, ...]) -> str:
    """`("messages", 2, "content")` as `messages[2].content`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def describe(value: Any) -> str:
    """What came, short: a type, with the value where that is small and plain."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}" if abs(value) < MAX_NUMBER else "a number too large"
        case str():
            return f"the string {value!r}" if len(value) <= 32 else f"a string of {len(value)} characters"
        case list():
            return f"an array of {len(value)}" if value else "an empty array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
