"""How often a key may submit, counted beside the records, so by every API on the same Redis.

Without Redis each process counts by itself: a limit that depends on nothing else still holds.
"""

import math
import time
from contextlib import suppress

from flask import Flask, g
from flask_limiter import Limiter, RateLimitExceeded
from redis import Redis, RedisError

from api.errors import TooManyRequests

PREFIX = "sdapi:rate"


class SubmitRate:
    """Counts submissions of each key; nothing else a client asks for is counted.

    Args:
        app: the application whose requests are counted.
        redis: where the counts are kept.
        rate: such as `60/minute`.
    """

    def __init__(self, app: Flask, redis: Redis, rate: str) -> None:
        self._limiter = Limiter(
            key_func=lambda: g.submitter,
            app=app,
            storage_uri="redis://",  # which one: the pool says
            storage_options={  # pyright: ignore[reportArgumentType]
                "connection_pool": redis.connection_pool,
                "key_prefix": PREFIX,
            },
            strategy="moving-window",
            in_memory_fallback_enabled=True,
        )
        self._count = self._limiter.shared_limit(rate, scope="submit")(_nothing_more)
        self._rate = rate

    def count(self, submitter: str) -> None:
        """Count one more submission. Raises TooManyRequests when it is one too many.

        Args:
            submitter: the digest of a key, never the key.
        """
        g.submitter = submitter
        try:
            self._count()
        except RateLimitExceeded as error:
            raise TooManyRequests(self._rate, retry_after=self._wait_seconds()) from error

    def _wait_seconds(self) -> int:
        """After how many seconds the next submission fits, at least 1."""
        wait = 0.0
        with suppress(RedisError):  # gone since it was counted
            if breached := self._limiter.current_limit:
                wait = breached.window.reset_time - time.time()
        return max(1, math.ceil(wait))


def _nothing_more() -> None:
    """What the limit stands before."""
