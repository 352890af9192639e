"""Which leases tell of a dead worker, though Redis' clock may jump: as Lua functions of REAP.

A lease that has expired tells of a dead worker only if a living one could have renewed it. Redis
may have been away or frozen, and its clock may have been set.
"""

LEASE_CLOCK = """
-- No job is taken while reapers were not heard for half a lease, nor for half a lease after that;
-- then every living worker has had the time to renew. REAP calls that a frozen Redis finds in its
-- sockets at the thaw run one after the other: the first notes the gap, the others keep to it.
local function may_reap(lease)
  local time, grace = now(), lease / 2
  local last, from = unpack(redis.call('HMGET', REAPER, 'last', 'from'))
  if not last or math.abs(time - tonumber(last)) > grace then from = time + grace end
  redis.call('HSET', REAPER, 'last', text(time), 'from', text(from))
  return time >= tonumber(from)
end

-- A lease that ends more than twice a lease ahead was given before the clock was set back.
local function clamp_leases(lease)
  local time = now()
  local ahead = '(' .. text(time + 2 * lease)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, ahead, '+inf')) do
    redis.call('ZADD', LEASES, text(time + lease), id)
  end
end
"""
