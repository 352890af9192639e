"""Finds jobs that wait or run by their records, but have no entry in a queue or no lease.

No step of the service leaves such a job; keys that were deleted by hand, or restored from an older
file, do. The search reads a part of all keys at a time, so that it never holds up Redis.
"""

from typing import cast

from redis import Redis

from jobs.connection import reaching_redis
from jobs.records.shared_lua import SHARED_ALLOW_OOM

_KEYS_AT_ONCE = 250
_STEPS = 80
_LEASE_SECONDS = 60

# A running job gets a lease that its worker, if it lives, renews long before it expires. A job that
# is postponed waits elsewhere until its pause is over.
#
# ARGV cursor keys-at-once lease-seconds  -> next cursor, number of jobs found
_REPAIR = (
    SHARED_ALLOW_OOM
    + """
local cursor, names = unpack(redis.call('SCAN', ARGV[1], 'MATCH', JOB .. '*', 'COUNT', ARGV[2],
  'TYPE', 'hash'))
local found = 0
for _, name in ipairs(names) do
  local id = string.sub(name, #JOB + 1)
  local state, job_type, submitter, place, retry_at =
    unpack(redis.call('HMGET', name, 'state', 'type', 'submitter', 'place', 'retry_at'))
  submitter = submitter or ''
  local paused = retry_at and tonumber(retry_at) > now() - ARGV[3]
  if state == 'PENDING' and job_type and not paused then
    local queued = place and redis.call('ZSCORE', QUEUE .. job_type, place)
      and redis.call('ZSCORE', submitter_queue(job_type, submitter), id)
    if not queued and not redis.call('ZSCORE', OLD_QUEUE .. job_type, id) then
      remove(id, job_type, submitter)
      end_pause(id, job_type, submitter)
      enqueue(id)
      found = found + 1
    end
  elseif running(name) and not redis.call('ZSCORE', LEASES, id) then
    redis.call('ZADD', LEASES, text(now() + ARGV[3]), id)
    found = found + 1
  end
end
return {cursor, found}
"""
)


class QueueRepair:
    """Searches all records, some at each call."""

    def __init__(self, redis: Redis) -> None:
        self._repair = redis.register_script(_REPAIR)
        self._cursor = "0"

    def step(self) -> int:
        """Continue the search and put what is found back. Raises RecordsUnavailable.

        Returns:
            How many jobs were found among the next 20,000 keys of Redis.
        """
        found = 0
        for _ in range(_STEPS):
            with reaching_redis():
                reply = self._repair(args=[self._cursor, _KEYS_AT_ONCE, _LEASE_SECONDS])
            self._cursor, number = cast(tuple[str, int], reply)
            found += number
            if self._cursor == "0":
                break
        return found
