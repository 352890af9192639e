"""How often a key may submit, counted beside the records, so by every API on the same Redis.

Without Redis each process counts by itself: a limit that depends on nothing else still holds.
"""

import math
import time

from limits import parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis, RedisError

from api.errors import TooManyRequests

PREFIX = "sdapi:rate"


class SubmitRate:
    """Counts submissions of each key, over a moving window.

    Args:
        redis: where the counts are kept.
        rate: such as `60/minute`.
    """

    def __init__(self, redis: Redis, rate: str) -> None:
        shared = RedisStorage(
            "redis://",  # which one: the pool says
            connection_pool=redis.connection_pool,
            key_prefix=PREFIX,
        )
        self._shared = MovingWindowRateLimiter(shared)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._limit = parse(rate)
        self._rate = rate

    def count(self, submitter: str) -> None:
        """Count one more submission. Raises TooManyRequests when it is one too many.

        Args:
            submitter: the digest of a key, never the key.
        """
        try:
            wait = self._wait_seconds(self._shared, submitter)
        except RedisError:
            wait = self._wait_seconds(self._own, submitter)
        if wait:
            raise TooManyRequests(self._rate, retry_after=wait)

    def _wait_seconds(self, limiter: MovingWindowRateLimiter, submitter: str) -> int:
        """Count one more; 0, or after how many seconds it would fit."""
        if limiter.hit(self._limit, submitter):
            return 0
        fits_at = limiter.get_window_stats(self._limit, submitter).reset_time
        return max(1, math.ceil(fits_at - time.time()))
