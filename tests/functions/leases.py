"""Leases of requests that are under way, or whose process died."""

from __future__ import annotations

from gateway.domain.keys import parse_key
from gateway.domain.usage import Lease

from tests.support.stack import MODEL, OpenedAccount, Stack

RESERVED = 1000


def admit_lease(stack: Stack, account: OpenedAccount, *, deadline_in_s: int = 300) -> Lease:
    """A lease that a process of the account took, and has yet to settle."""
    key = parse_key(account.key)
    assert key is not None
    now_s = int(stack.gateway.clock.now_s())
    lease = Lease(
        request_id=stack.gateway.ids.request_id(),
        account_id=account.id,
        key_id=account.key_id,
        model=MODEL,
        endpoint="/v1/chat/completions",
        reserved_tokens=RESERVED,
        admitted_s=now_s,
        deadline_s=now_s + deadline_in_s,
    )
    stack.run(stack.gateway.ledger.admit(lease, key_hash=key.hash))
    return lease
