"""The options that a client has set for all its later requests, kept in Redis for each submitter.

A hash with a field for each option, name and value as JSON, so that two changes at once merge and
neither is lost. They expire when they are neither read nor changed for some time.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import OptionsTooLarge

MAX_BYTES = 64 * 1024
"""Of the names and values of one submitter's options, as JSON in UTF-8."""
TTL_SECONDS = 30 * 86_400

# KEYS the hash  ARGV most-bytes ttl field value ...  -> 1; 0: too large, nothing was changed
_CHANGE = """
local bytes, changed = 0, {}
for i = 3, #ARGV, 2 do
  changed[ARGV[i]] = true
  bytes = bytes + #ARGV[i] + #ARGV[i + 1]
end
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  if not changed[known[i]] then bytes = bytes + #known[i] + #known[i + 1] end
end
if bytes > tonumber(ARGV[1]) then return 0 end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class ClientOptions:
    """The options of all submitters. Every method raises RecordsUnavailable without Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._change = redis.register_script(_CHANGE)

    def read(self, submitter: str) -> dict[str, Any]:
        """The options of a submitter, by name; empty: it has set none, or none for 30 days."""
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hgetall(keys.options(submitter))
            pipe.expire(keys.options(submitter), TTL_SECONDS)
            found = cast(dict[str, str], pipe.execute()[0])
        return {json.loads(name): json.loads(value) for name, value in found.items()}

    def change(self, changes: Mapping[str, Any], submitter: str) -> None:
        """Set some options of a submitter, in one step; its others stay.

        Args:
            changes: values that JSON can say, by name; None is a value too.
            submitter: whose options they are.

        Raises:
            OptionsTooLarge: all its options together would exceed MAX_BYTES; nothing was changed.
        """
        # names as JSON, too: they are the client's, and not all text is UTF-8
        parts = [json.dumps(part) for change in changes.items() for part in change]
        if not parts:
            return
        if sum(map(len, parts)) > MAX_BYTES:  # it need not travel to Redis
            raise OptionsTooLarge(MAX_BYTES)
        with reaching_redis():
            args = [MAX_BYTES, TTL_SECONDS, *parts]
            if not self._change(keys=[keys.options(submitter)], args=args):
                raise OptionsTooLarge(MAX_BYTES)
