"""The steps of `jobs.claims`, each one atomic: Lua run by Redis, on Redis' own clock.

Whoever holds the current fencing token of a running job may change it; everybody else is told
`lost`. The client's steps are in `jobs.record_steps`.
"""

from jobs.lua import SHARED_FREE

# ARGV type owner lease-seconds
# -> nil, or id, token, attempt, kind, request, model, warnings, submitted, started
CLAIM = (
    SHARED_FREE
    + """
while true do
  local id = take(ARGV[1])
  if not id then return false end
  local job = P .. 'job:' .. id
  if redis.call('HGET', job, 'state') == 'PENDING' then
    local time = now()
    redis.call('HSET', job, 'state', 'LOADING', 'owner', ARGV[2], 'claimed', text(time))
    local first = redis.call('HSETNX', job, 'started', text(time)) == 1
    redis.call('ZADD', P .. 'leases', text(time + ARGV[3]), id)
    local token, attempt = redis.call('HINCRBY', job, 'token', 1),
      redis.call('HINCRBY', job, 'attempts', 1)
    if first then tell(id, 'started') end
    return {id, token, attempt, unpack(redis.call('HMGET', job, 'kind', 'request', 'model',
      'warnings', 'submitted', 'started'))}
  end
end
"""
)

# ARGV id token lease-seconds  -> held, cancel or lost
RENEW = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
redis.call('ZADD', P .. 'leases', text(now() + ARGV[3]), ARGV[1])
return cancelled(job) and 'cancel' or 'held'
"""
)

# ARGV id token progress fraction  -> held, cancel or lost
REPORT = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
redis.call('HSET', job, 'state', 'PROGRESS', 'progress', ARGV[3])
if tonumber(ARGV[4]) > tonumber(redis.call('HGET', job, 'fraction')) then
  redis.call('HSET', job, 'fraction', ARGV[4])
end
return cancelled(job) and 'cancel' or 'held'
"""
)

# Previews are counted in the record, over all attempts; each takes the place of the one before.
#
# ARGV id token preview ttl  -> held, cancel or lost
PREVIEW = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
redis.call('HINCRBY', job, 'previews', 1)
redis.call('SET', P .. 'preview:' .. ARGV[1], ARGV[3], 'EX', ARGV[4])
return cancelled(job) and 'cancel' or 'held'
"""
)

# A job that draws already is past its loading: what is told of that too late changes nothing.
#
# ARGV id token share  -> held, cancel or lost
LOADING = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
if redis.call('HGET', job, 'state') == 'LOADING' then
  redis.call('HSET', job, 'loading', ARGV[3])
end
return cancelled(job) and 'cancel' or 'held'
"""
)

# Facts that only the owner may add: warnings, or the names of the pictures it is about to publish.
#
# ARGV id token field value ...  -> held, cancel or lost
NOTE = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
redis.call('HSET', job, unpack(ARGV, 3))
return cancelled(job) and 'cancel' or 'held'
"""
)

# ARGV id token state ttl afterwards keep field value ...  -> held, cancel or lost
FINISH = (
    SHARED_FREE
    + """
local id, state = ARGV[1], ARGV[3]
local job = P .. 'job:' .. id
if not held(job, ARGV[2]) then return 'lost' end
if cancelled(job) and state ~= 'CANCELLED' then return 'cancel' end
redis.call('HSET', job, unpack(ARGV, 7))
finish(id, state, ARGV[4], ARGV[5])
if state == 'SUCCESS' then
  redis.call('HSET', job, 'fraction', 1)
  redis.call('LPUSH', P .. 'recent', id)
  redis.call('LTRIM', P .. 'recent', 0, ARGV[6] - 1)
end
return 'held'
"""
)

# ARGV id token ttl afterwards  -> held, cancel or lost
HAND_BACK = (
    SHARED_FREE
    + """
local job = P .. 'job:' .. ARGV[1]
if not held(job, ARGV[2]) then return 'lost' end
if cancelled(job) then
  finish(ARGV[1], 'CANCELLED', ARGV[3], ARGV[4])
  return 'cancel'
end
redis.call('HINCRBY', job, 'attempts', -1)
wait_again(ARGV[1])
return 'held'
"""
)

# ARGV ttl afterwards max-attempts failure  -> id, state, type, ...
REAP = (
    SHARED_FREE
    + """
local found = {}
local lapsed = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', text(now()), 'LIMIT', 0, 100)
for _, id in ipairs(lapsed) do
  local job = P .. 'job:' .. id
  local state = 'PENDING'
  if not running(job) then
    redis.call('ZREM', P .. 'leases', id)
    state = nil
  elseif cancelled(job) then
    state = 'CANCELLED'
    finish(id, state, ARGV[1], ARGV[2])
  elseif tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(ARGV[3]) then
    state = 'FAILURE'
    redis.call('HSET', job, 'failure', ARGV[4])
    finish(id, state, ARGV[1], ARGV[2])
  else
    wait_again(id)
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

# ARGV type seconds  -> how many jobs wait, when the first to come waits too long
OVERDUE = (
    SHARED_FREE
    + """
local queue = P .. 'queue:' .. ARGV[1]
local id = redis.call('ZRANGE', queue, 0, 0)[1]
if not id then return 0 end
local waiting = redis.call('HGET', P .. 'job:' .. id, 'waiting')
if waiting and now() - tonumber(waiting) < tonumber(ARGV[2]) then return 0 end
local rescue = P .. 'rescue:' .. ARGV[1]
if not redis.call('SET', rescue, 1, 'NX', 'PX', math.floor(ARGV[2] * 1000)) then return 0 end
return redis.call('ZCARD', queue)
"""
)
