"""The account's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from gateway.application.keyring import Keyring, find_key
from gateway.domain.admission import KeyRecord, Scope
from gateway.domain.wire import WireModel, parse_json_object, parse_request
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.desk import Caller, Operation

MAX_BODY_BYTES = 16_384


class NewKey(WireModel):
    """POST /v1/keys."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "key"
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=2)] = Field(default=["chat"])
    replaces: (
        Annotated[
            str,
            Field(
                min_length=1, max_length=64, description="The id of the key whose place the new one takes, in one step."
            ),
        ]
        | None
    ) = None


EXPECTED = {
    "name": "a string of 1 to 64 characters",
    "scopes": "an array of 'chat' and 'admin', at least one",
    "scopes.*": "'chat' or 'admin'",
    "replaces": "the id of the key whose place the new one takes",
}


@dataclass(frozen=True, slots=True)
class KeyRoutes:
    """/v1/keys."""

    keyring: Keyring

    def operations(self) -> list[Operation]:
        """The routes; all need a key with the scope `admin`."""
        return [
            Operation("GET", "/v1/keys", self._list, "admin"),
            Operation("POST", "/v1/keys", self._create, "admin", status=201),
            Operation("GET", "/v1/keys/{id}", self._show, "admin"),
            Operation("DELETE", "/v1/keys/{id}", self._delete, "admin"),
            Operation("POST", "/v1/keys/{id}/disable", self._disable, "admin"),
            Operation("POST", "/v1/keys/{id}/enable", self._enable, "admin"),
        ]

    async def _list(self, caller: Caller) -> Mapping[str, Any]:
        keys = sorted(caller.account.keys.values(), key=lambda key: (key.created_s, key.id))
        return {"object": "list", "data": [_shown(key) for key in keys]}

    async def _create(self, caller: Caller) -> Mapping[str, Any]:
        body = await read_body(caller.request, max_bytes=MAX_BODY_BYTES)
        asked = parse_request(NewKey, parse_json_object(body or b"{}"), expected=EXPECTED)
        key, text = await self.keyring.create(
            caller.account, name=asked.name, scopes=frozenset(asked.scopes), replaces=asked.replaces
        )
        return {**_shown(key), "key": text}

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return _shown(find_key(caller.account, caller.id))

    async def _delete(self, caller: Caller) -> Mapping[str, Any]:
        await self.keyring.delete(caller.account, caller.id)
        return {"id": caller.id, "object": "key", "deleted": True}

    async def _disable(self, caller: Caller) -> Mapping[str, Any]:
        return _shown(await self.keyring.set_enabled(caller.account, caller.id, enabled=False))

    async def _enable(self, caller: Caller) -> Mapping[str, Any]:
        return _shown(await self.keyring.set_enabled(caller.account, caller.id, enabled=True))


def _shown(key: KeyRecord) -> dict[str, Any]:
    """A key as it is shown: never its secret, nor its hash."""
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "enabled": key.enabled,
        "scopes": sorted(key.scopes),
        "created": key.created_s,
    }
