"""The webhook messages that wait to be delivered.

A message is written down in the step that it tells of, and stays until it was delivered or given
up; whoever takes it has it for a while, so the death of a worker only delays it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from redis import Redis

from jobs.connection import reaching_redis
from jobs.lua import SHARED_FREE
from jobs.status import Failure, Result

# ARGV lease-seconds  -> nil, or the name of the message, its tries with this one, its fields
_TAKE = (
    SHARED_FREE
    + """
local name = redis.call('ZRANGEBYSCORE', P .. 'deliveries', '-inf', text(now()), 'LIMIT', 0, 1)[1]
if not name then return false end
local message = P .. 'delivery:' .. name
if redis.call('EXISTS', message) == 0 then
  redis.call('ZREM', P .. 'deliveries', name)
  return false
end
redis.call('ZADD', P .. 'deliveries', text(now() + ARGV[1]), name)
return {name, redis.call('HINCRBY', message, 'tries', 1), redis.call('HGETALL', message)}
"""
)

# ARGV name tries seconds-to-wait (negative: no more)  -> whether it was still ours
_PUT_BACK = (
    SHARED_FREE
    + """
local message = P .. 'delivery:' .. ARGV[1]
if redis.call('HGET', message, 'tries') ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) < 0 then
  redis.call('DEL', message)
  redis.call('ZREM', P .. 'deliveries', ARGV[1])
else
  redis.call('ZADD', P .. 'deliveries', text(now() + ARGV[3]), ARGV[1])
end
return 1
"""
)


@dataclass(frozen=True)
class Delivery:
    """One message on its way.

    Attributes:
        message_id: the same at every attempt, and of no other message.
        url: where to.
        tries: which attempt this is, from 1.
        body: what is sent, the same at every attempt.
    """

    message_id: str
    url: str
    tries: int
    body: bytes


class Deliveries:
    """The messages. Every method raises RecordsUnavailable when Redis does not answer.

    Args:
        redis: the Redis of the records.
        lease_seconds: how long whoever takes a message has it; longer than an attempt may take.
    """

    def __init__(self, redis: Redis, *, lease_seconds: float = 60) -> None:
        self._lease = lease_seconds
        self._take = redis.register_script(_TAKE)
        self._put_back = redis.register_script(_PUT_BACK)

    def take(self) -> Delivery | None:
        """A message that is due; None when there is none."""
        with reaching_redis():
            taken = cast(list[Any] | None, self._take(args=[self._lease]))
        if not taken:
            return None
        name, tries, flat = taken
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Delivery(f"msg_{name}", fields["url"], int(tries), _body(fields))

    def done(self, delivery: Delivery) -> None:
        """Forget a message: it was delivered, or given up."""
        self._back(delivery, -1)

    def later(self, delivery: Delivery, seconds: float) -> None:
        """Try a message again after a while."""
        self._back(delivery, seconds)

    def _back(self, delivery: Delivery, seconds: float) -> None:
        name = delivery.message_id.removeprefix("msg_")
        with reaching_redis():
            self._put_back(args=[name, delivery.tries, seconds])


def _body(fields: dict[str, str]) -> bytes:
    job_id = fields["job"]
    data: dict[str, Any] = {
        "task_id": job_id,
        "Location": f"/status/{job_id}",
        "kind": fields["kind"],
        "type": fields["type"],
        "active_model": fields["model"],
        "attempts": int(fields["attempts"]),
    }
    if "failure" in fields:
        failure = Failure.model_validate_json(fields["failure"])
        data |= {"error": failure.message, "code": failure.code}
    if "result" in fields:
        result = Result.model_validate_json(fields["result"])
        numbers = [*map(str, range(len(result.images))), *(["grid"] if result.grid else [])]
        data |= {
            "Images": [f"/images/{job_id}/{number}" for number in numbers],
            "seeds": list(result.seeds),
        }
    at = datetime.fromtimestamp(float(fields["at"]), UTC)
    event = {"type": f"job.{fields['event']}", "timestamp": at.isoformat(), "data": data}
    return json.dumps(event).encode()
