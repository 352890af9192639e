"""The reaper's scripts: jobs whose lease has expired, and postponed jobs whose pause is over.

Both go by Redis' clock, and bear that it jumps: after an outage of Redis, after its process was
frozen, or when the clock is set.
"""

from jobs.shared_lua import SHARED_ALLOW_OOM

# A lease that has expired tells of a dead worker only if a living one could have renewed it. So no
# job is taken while reapers were not heard for half a lease, nor for half a lease after that; then
# every worker has had the time to renew. REAP calls that a frozen Redis finds in its sockets when
# it thaws run one after the other: the first notes the gap, and the others keep to it.
#
# A lease that ends more than twice a lease ahead was given before the clock was set back.
#
# ARGV ttl tombstone-ttl max-attempts failure lease-seconds  -> id, state, type, ...
REAP = (
    SHARED_ALLOW_OOM
    + """
local time, lease = now(), tonumber(ARGV[5])
local last, from = unpack(redis.call('HMGET', REAPER, 'last', 'from'))
if not last or math.abs(time - tonumber(last)) > lease / 2 then from = time + lease / 2 end
redis.call('HSET', REAPER, 'last', text(time), 'from', text(from))

local ahead = '(' .. text(time + 2 * lease)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, ahead, '+inf')) do
  redis.call('ZADD', LEASES, text(time + lease), id)
end
if time < tonumber(from) then return {} end

local found = {}
local expired = redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(time), 'LIMIT', 0, 100)
for _, id in ipairs(expired) do
  local job = JOB .. id
  local state = 'PENDING'
  if not running(job) then
    redis.call('ZREM', LEASES, id)
    state = nil
  elseif cancelled(job) then
    state = 'CANCELLED'
    finish(id, state, ARGV[1], ARGV[2])
  elseif tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(ARGV[3]) then
    state = 'FAILURE'
    redis.call('HSET', job, 'failure', ARGV[4])
    finish(id, state, ARGV[1], ARGV[2])
  else
    return_to_queue(id)
  end
  if state then
    found[#found + 1] = id
    found[#found + 1] = state
    found[#found + 1] = redis.call('HGET', job, 'type')
  end
end
return found
"""
)

# Put the postponed jobs of a type into its queue whose pause is over. A pause that ends later than
# the longest one could was given before the clock was set back. A job costs its submitter another
# turn, since it has taken up a worker.
#
# ARGV type longest-pause-seconds  -> id ...
RELEASE = (
    SHARED_ALLOW_OOM
    + """
local job_type, time, postponed = ARGV[1], now(), POSTPONED .. ARGV[1]
local released = redis.call('ZRANGEBYSCORE', postponed, '-inf', text(time), 'LIMIT', 0, 100)
local ahead = '(' .. text(time + ARGV[2])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', postponed, ahead, '+inf', 'LIMIT', 0, 100)) do
  released[#released + 1] = id
end
for _, id in ipairs(released) do
  end_pause(id, job_type, redis.call('HGET', JOB .. id, 'submitter'))
  redis.call('HSET', JOB .. id, 'waiting', text(time))
  enqueue(id)
end
return released
"""
)
