"""The webhook messages that wait to be delivered.

The script that changes a job's state also writes the message about it. A message stays until it
was delivered or given up. A sender takes it for a limited time, so when the sender's process dies,
another one delivers it later.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from redis import Redis

from jobs.connection import reaching_redis
from jobs.shared_lua import SHARED_ALLOW_OOM
from jobs.status import Failure, Result

# ARGV lease-seconds  -> nil, or the name of the message, its tries with this one, its fields
_TAKE = (
    SHARED_ALLOW_OOM
    + """
local name = redis.call('ZRANGEBYSCORE', DELIVERIES, '-inf', text(now()), 'LIMIT', 0, 1)[1]
if not name then return false end
local message = DELIVERY .. name
if redis.call('EXISTS', message) == 0 then
  redis.call('ZREM', DELIVERIES, name)
  return false
end
redis.call('ZADD', DELIVERIES, text(now() + ARGV[1]), name)
return {name, redis.call('HINCRBY', message, 'tries', 1), redis.call('HGETALL', message)}
"""
)

# ARGV name tries seconds-to-wait (negative: delete it)  -> 1 if this try is the latest
_PUT_BACK = (
    SHARED_ALLOW_OOM
    + """
local message = DELIVERY .. ARGV[1]
if redis.call('HGET', message, 'tries') ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) < 0 then
  redis.call('DEL', message)
  redis.call('ZREM', DELIVERIES, ARGV[1])
else
  redis.call('ZADD', DELIVERIES, text(now() + ARGV[3]), ARGV[1])
end
return 1
"""
)


@dataclass(frozen=True)
class Delivery:
    """One message to deliver.

    Attributes:
        message_id: unique, and the same at every attempt.
        url: the webhook's.
        tries: the number of this attempt, from 1.
        body: JSON, the same at every attempt.
    """

    message_id: str
    url: str
    tries: int
    body: bytes


class Deliveries:
    """The messages to deliver. Every method raises RecordsUnavailable when Redis does not answer.

    Args:
        redis: the Redis of the records.
        lease_seconds: how long a sender has a message it took; longer than an attempt may take.
    """

    def __init__(self, redis: Redis, *, lease_seconds: float = 60) -> None:
        self._lease = lease_seconds
        self._take = redis.register_script(_TAKE)
        self._put_back = redis.register_script(_PUT_BACK)

    def take(self) -> Delivery | None:
        """Take a message that is due; None when there is none."""
        with reaching_redis():
            taken = cast(list[Any] | None, self._take(args=[self._lease]))
        if not taken:
            return None
        name, tries, flat = taken
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Delivery(f"msg_{name}", fields["url"], int(tries), _body(fields))

    def done(self, delivery: Delivery) -> None:
        """Delete a message that was delivered or given up."""
        self._release(delivery, -1)

    def later(self, delivery: Delivery, seconds: float) -> None:
        """Make a message due again after `seconds`."""
        self._release(delivery, seconds)

    def _release(self, delivery: Delivery, seconds: float) -> None:
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
