"""How long pictures are kept: for a time, and within a number of bytes, the oldest first to go.

The record of a job goes with its pictures; its id is answered with JobExpired from then on.
"""

from dataclasses import dataclass
from typing import cast

from redis import Redis

from jobs.connection import reaching_redis
from jobs.lua import SHARED_FREE

_AT_ONCE = 100

# ARGV transient-seconds saved-seconds (0: for ever) most-bytes (0: any number) most-jobs  -> ids
_EXPIRE = (
    SHARED_FREE
    + """
local found = {}
local function drop(id)
  forget(id)
  found[#found + 1] = id
end
for kept, seconds in pairs({transient = tonumber(ARGV[1]), saved = tonumber(ARGV[2])}) do
  if seconds > 0 then
    local old = redis.call('ZRANGEBYSCORE', P .. 'pictures:' .. kept, '-inf', text(now() - seconds),
      'LIMIT', 0, ARGV[4])
    for _, id in ipairs(old) do drop(id) end
  end
end
local most = tonumber(ARGV[3])
while most > 0 and #found < tonumber(ARGV[4])
  and tonumber(redis.call('GET', P .. 'pictures:all') or 0) > most do
  local id = redis.call('ZRANGE', P .. 'pictures:transient', 0, 0)[1]
    or redis.call('ZRANGE', P .. 'pictures:saved', 0, 0)[1]
  if not id then break end
  drop(id)
end
return found
"""
)


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How long pictures are kept.

    Attributes:
        transient_seconds: those of a job with `skip_save`.
        saved_seconds: all others; 0: for ever.
        most_bytes: all together; 0: any number.
    """

    transient_seconds: int
    saved_seconds: int = 0
    most_bytes: int = 0


class Expiry:
    """The jobs whose pictures are stored."""

    def __init__(self, redis: Redis, keeping: Keeping) -> None:
        self._keeping = keeping
        self._expire = redis.register_script(_EXPIRE)

    def expire(self) -> tuple[str, ...]:
        """Forget the jobs whose time is up, and the oldest while there are too many bytes.

        Their pictures are among the remains from then on. Raises RecordsUnavailable.

        Returns:
            The ids of those forgotten: some of them, when there are very many.
        """
        keeping = self._keeping
        with reaching_redis():
            found = self._expire(
                args=[
                    keeping.transient_seconds,
                    keeping.saved_seconds,
                    keeping.most_bytes,
                    _AT_ONCE,
                ]
            )
        return tuple(cast(list[str], found))
