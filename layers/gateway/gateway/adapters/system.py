"""The process's own clock and its own randomness."""

from __future__ import annotations

import asyncio
import random
import secrets
import time

from gateway.domain.keys import ACCOUNT_ID_LENGTH, ID_ALPHABET, KEY_ID_LENGTH, SECRET_ALPHABET, SECRET_LENGTH

REQUEST_ID_LENGTH = 24


class SystemClock:
    """Keeps the promises of `ports.Clock`."""

    def now_s(self) -> float:
        """See `ports.Clock.now_s`."""
        return time.time()

    def elapsed_s(self) -> float:
        """See `ports.Clock.elapsed_s`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock.sleep`."""
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        """See `ports.Clock.jitter`."""
        return random.random()  # noqa: S311 - spreads retries, guards nothing


def reseed() -> None:
    """Gives this process's pseudo-random numbers a new start, from the kernel.

    Environments restored from one snapshot would else draw the same ones: their retries would come at the same times.
    """
    random.seed()


class SystemIds:
    """Keeps the promises of `ports.Ids`; `secrets` asks the kernel, so a restored snapshot repeats nothing."""

    def request_id(self) -> str:
        """See `ports.Ids.request_id`."""
        return _token(SECRET_ALPHABET, REQUEST_ID_LENGTH)

    def account_id(self) -> str:
        """See `ports.Ids.account_id`."""
        return _token(ID_ALPHABET, ACCOUNT_ID_LENGTH)

    def key_id(self) -> str:
        """See `ports.Ids.key_id`."""
        return _token(ID_ALPHABET, KEY_ID_LENGTH)

    def key_secret(self) -> str:
        """See `ports.Ids.key_secret`."""
        return _token(SECRET_ALPHABET, SECRET_LENGTH)


def _token(alphabet: str, length: int) -> str:
    """Each token as likely as any other, from one draw: the kernel is asked once and not for every letter."""
    letters, drawn = [], secrets.randbelow(len(alphabet) ** length)
    for _ in range(length):
        drawn, letter = divmod(drawn, len(alphabet))
        letters.append(alphabet[letter])
    return "".join(letters)
