"""The webhook messages that wait to be delivered.

The script that changes a job's state also writes the message about it. A message stays until it
was delivered, given up, or its job's record expires. A sender takes it for a limited time, so when
the sender's process dies, another one delivers it later.

Each receiver has a few lanes, and of each lane one message is delivered at a time, by all senders
together. So a receiver that hangs delays its own messages only. The messages of a job share a lane.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from redis import Redis

from jobs.connection import reaching_redis
from jobs.records.record_fields import record_of
from jobs.records.shared_lua import SHARED_ALLOW_OOM
from jobs.status import Failure, Result

log = structlog.get_logger(__name__)

_LANES_PER_RECEIVER = 4

_LANES = (
    SHARED_ALLOW_OOM
    + f"local LANES_PER_RECEIVER = {_LANES_PER_RECEIVER}"
    + """
local function lane_of(name, url)
  local host = string.lower(string.match(url, '^%a+://([^/?#]*)') or url)
  local digest = redis.sha1hex(string.match(name, '^[^.]*'))
  local number = tonumber(string.sub(digest, 1, 6), 16) % LANES_PER_RECEIVER
  return redis.sha1hex(host) .. '.' .. number
end

-- A lane is to be served when its first message is due.
local function schedule(lane)
  local first = redis.call('ZRANGE', LANE .. lane, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', LANES, first[2], lane)
  else
    redis.call('ZREM', LANES, lane)
  end
end

local function first_due(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', text(now()), 'LIMIT', 0, 1)[1]
end
"""
)

# ARGV lease-seconds  -> nil, or the name of the message, its tries with this one, its fields
_TAKE = (
    _LANES
    + """
local new = redis.call(
  'ZRANGEBYSCORE', DELIVERIES, '-inf', text(now()), 'WITHSCORES', 'LIMIT', 0, 100)
for i = 1, #new, 2 do
  local name, written = new[i], new[i + 1]
  redis.call('ZREM', DELIVERIES, name)
  local url = redis.call('HGET', DELIVERY .. name, 'url')
  if url then  -- it has not expired
    local lane = lane_of(name, url)
    redis.call('ZADD', LANE .. lane, written, name)
    if redis.call('EXISTS', LANE_BUSY .. lane) == 0 then schedule(lane) end
  end
end
for _ = 1, 100 do
  local lane = first_due(LANES)
  if not lane then return false end
  local name = first_due(LANE .. lane)
  if not name then
    schedule(lane)
  elseif redis.call('EXISTS', DELIVERY .. name) == 0 then
    redis.call('ZREM', LANE .. lane, name)
    schedule(lane)
  else
    local message, until_then = DELIVERY .. name, text(now() + ARGV[1])
    redis.call('SET', LANE_BUSY .. lane, 1, 'PX', math.ceil(1000 * ARGV[1]))
    redis.call('ZADD', LANE .. lane, until_then, name)
    redis.call('ZADD', LANES, until_then, lane)
    return {name, redis.call('HINCRBY', message, 'tries', 1), redis.call('HGETALL', message)}
  end
end
return false
"""
)

# ARGV name tries url seconds-to-wait (negative: delete it)  -> 1 if this try is the latest
_PUT_BACK = (
    _LANES
    + """
local message = DELIVERY .. ARGV[1]
if redis.call('HGET', message, 'tries') ~= ARGV[2] then return 0 end
local lane = lane_of(ARGV[1], ARGV[3])
if tonumber(ARGV[4]) < 0 then
  redis.call('DEL', message)
  redis.call('ZREM', LANE .. lane, ARGV[1])
else
  redis.call('ZADD', LANE .. lane, text(now() + ARGV[4]), ARGV[1])
end
redis.call('DEL', LANE_BUSY .. lane)
schedule(lane)
return 1
"""
)


@dataclass(frozen=True)
class Delivery:
    """One message to deliver.

    Attributes:
        message_id: unique, and the same at every attempt.
        url: the webhook's.
        submitter: whose job it tells of: a digest of an API key.
        tries: the number of this attempt, from 1.
        body: JSON, the same at every attempt.
    """

    message_id: str
    url: str
    submitter: str
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
        """Take a message that is due; None when there is none, or their receivers are busy.

        A message that lacks what its body needs is deleted, and the next one is taken.
        """
        while True:
            with reaching_redis():
                taken = cast(list[Any] | None, self._take(args=[self._lease]))
            if not taken:
                return None
            name, tries, flat = taken
            fields = record_of(flat)
            url, submitter = fields.get("url", ""), fields.get("submitter", "")
            delivery = Delivery(f"msg_{name}", url, submitter, int(tries), b"")
            try:
                return replace(delivery, body=_body(fields))
            except (KeyError, ValueError) as error:  # the record of its job was damaged
                log.error("a damaged message is dropped", message=f"msg_{name}", reason=repr(error))
                self.done(delivery)

    def done(self, delivery: Delivery) -> None:
        """Delete a message that was delivered or given up."""
        self._release(delivery, -1)

    def later(self, delivery: Delivery, seconds: float) -> None:
        """Make a message due again after `seconds`."""
        self._release(delivery, seconds)

    def _release(self, delivery: Delivery, seconds: float) -> None:
        name = delivery.message_id.removeprefix("msg_")
        with reaching_redis():
            self._put_back(args=[name, delivery.tries, delivery.url, seconds])


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
