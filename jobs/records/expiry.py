"""The retention of pictures: by age, and by their total size, the oldest first.

The record of a job expires with its pictures; reading it raises JobExpired from then on.
"""

from dataclasses import dataclass
from typing import cast

from redis import Redis

from jobs.connection import reaching_redis
from jobs.records.shared_lua import SHARED_ALLOW_OOM

_AT_ONCE = 100

# ARGV transient-seconds saved-seconds (0: for ever) max-bytes (0: any number) max-jobs  -> ids
_EXPIRE = (
    SHARED_ALLOW_OOM
    + """
local found = {}
local function expire(id)
  delete_record(id)
  found[#found + 1] = id
end
for kept, seconds in pairs({[TRANSIENT] = tonumber(ARGV[1]), [SAVED] = tonumber(ARGV[2])}) do
  if seconds > 0 then
    local old = redis.call('ZRANGEBYSCORE', PICTURES .. kept, '-inf', text(now() - seconds),
      'LIMIT', 0, ARGV[4])
    for _, id in ipairs(old) do expire(id) end
  end
end
local max_bytes = tonumber(ARGV[3])
while max_bytes > 0 and #found < tonumber(ARGV[4])
  and tonumber(redis.call('GET', PICTURE_BYTES_TOTAL) or 0) > max_bytes do
  local id = redis.call('ZRANGE', PICTURES .. TRANSIENT, 0, 0)[1]
    or redis.call('ZRANGE', PICTURES .. SAVED, 0, 0)[1]
  if not id then break end
  expire(id)
end
return found
"""
)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long pictures are kept.

    Attributes:
        transient_seconds: those of a job with `skip_save`.
        saved_seconds: all others; 0: for ever.
        max_bytes: the size of all together; 0: any number.
    """

    transient_seconds: int
    saved_seconds: int = 0
    max_bytes: int = 0


class Expiry:
    """The jobs whose pictures are stored."""

    def __init__(self, redis: Redis, retention: Retention) -> None:
        self._retention = retention
        self._expire = redis.register_script(_EXPIRE)

    def expire(self) -> tuple[str, ...]:
        """Delete the records that are too old, and the oldest while there are too many bytes.

        Their pictures are among the deletions from then on. Raises RecordsUnavailable.

        Returns:
            The ids of the jobs, _AT_ONCE at most: call it again until there are none.
        """
        retention = self._retention
        with reaching_redis():
            found = self._expire(
                args=[
                    retention.transient_seconds,
                    retention.saved_seconds,
                    retention.max_bytes,
                    _AT_ONCE,
                ]
            )
        return tuple(cast(list[str], found))
