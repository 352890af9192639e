"""How often a key may submit, and how often an address may send a wrong key.

Submissions are counted in Redis, so for all API processes together; while Redis does not answer,
each process counts by itself. Wrong keys are counted by each process, so that a stranger costs
Redis nothing.
"""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis, RedisError

from api.errors import TooManyRequests, TooManyWrongKeys

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
        return _seconds_until_allowed(limiter, self._limit, submitter)


class WrongKeyLimit:
    """Counts the wrong keys of each address over a moving window.

    Args:
        rate: such as `10/minute`.
    """

    def __init__(self, rate: str) -> None:
        self._counts = MovingWindowRateLimiter(MemoryStorage())
        self._limit = parse(rate)

    def check(self, address: str) -> None:
        """Raises TooManyWrongKeys if the address has sent as many as it may."""
        if not self._counts.test(self._limit, address):
            wait = _seconds_until_allowed(self._counts, self._limit, address)
            raise TooManyWrongKeys(retry_after=wait)

    def count(self, address: str) -> None:
        """Count a wrong key. Raises TooManyWrongKeys as `check` does."""
        self.check(address)
        self._counts.hit(self._limit, address)


def _seconds_until_allowed(
    limiter: MovingWindowRateLimiter, limit: RateLimitItem, counted: str
) -> int:
    allowed_at = limiter.get_window_stats(limit, counted).reset_time
    return max(1, math.ceil(allowed_at - time.time()))
