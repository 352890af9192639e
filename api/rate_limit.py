"""How often a key may submit, counted in Redis, so for all API processes together.

While Redis does not answer, each process counts by itself.
"""

import math
import time

from limits import parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis, RedisError

from api.errors import TooManyRequests

PREFIX = "sdapi:rate"


class SubmitRateLimit:
    """Counts the submissions of each key over a moving window.

    Args:
        redis: where the counts are kept.
        rate: such as `60/minute`.
    """

    def __init__(self, redis: Redis, rate: str) -> None:
        shared = RedisStorage(
            "redis://",  # required, but the pool decides
            connection_pool=redis.connection_pool,
            key_prefix=PREFIX,
        )
        self._shared = MovingWindowRateLimiter(shared)
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._limit = parse(rate)
        self._rate = rate

    def count(self, submitter: str) -> None:
        """Count a submission. Raises TooManyRequests when it exceeds the rate.

        Args:
            submitter: the digest of a key, never the key.
        """
        try:
            wait = self._wait_seconds(self._shared, submitter)
        except RedisError:
            wait = self._wait_seconds(self._local, submitter)
        if wait:
            raise TooManyRequests(self._rate, retry_after=wait)

    def _wait_seconds(self, limiter: MovingWindowRateLimiter, submitter: str) -> int:
        """Count a submission; 0, or the seconds until it would be allowed."""
        if limiter.hit(self._limit, submitter):
            return 0
        allowed_at = limiter.get_window_stats(self._limit, submitter).reset_time
        return max(1, math.ceil(allowed_at - time.time()))
