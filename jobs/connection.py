"""The connection to the Redis that holds the records."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError  # noqa: A004
from redis.retry import Retry

from jobs.errors import RecordsFull, RecordsUnavailable


def connect(url: str, *, timeout: float = 2.0) -> Redis:
    """A client that answers or fails within about `timeout` seconds, text in and out.

    The URL of a socket may be Celery's (`redis+socket:///path`) or redis-py's (`unix:///path`).
    Nothing is sent before the first command.
    """
    return Redis.from_url(
        url.replace("redis+socket://", "unix://", 1),
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=25,
        # One retry at once: only use shows that a restarted server has closed the connection.
        # There is none after a timeout.
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    )


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Raise `RecordsUnavailable` for any error of the client, `RecordsFull` for a full memory."""
    try:
        yield
    except OutOfMemoryError as error:
        raise RecordsFull(f"the memory of Redis is full: {error}") from error
    except RedisError as error:
        raise RecordsUnavailable(f"the job records cannot be reached: {error}") from error
