"""Leases as a test wants them, while reapers have run all along."""

from redis import Redis

from jobs import keys


def reapers_run(redis: Redis) -> None:
    """As if a reaper had just run, without an interruption before."""
    redis.hset(keys.REAPER, mapping={"last": redis.time()[0], "from": 0})


def lapse(redis: Redis, job_id: str) -> None:
    """Let a lease run out now."""
    redis.zadd(keys.LEASES, {job_id: 0})
    reapers_run(redis)
