"""The scripts of `jobs.records.claims`, each one atomic: Lua that Redis runs, by Redis' clock.

Only the owner of a running job, with its current fencing token, may change it; for any other the
reply is `lost`. The client's scripts are in `jobs.records.record_steps`.
"""

from jobs.records.lease_clock import LEASE_CLOCK
from jobs.records.shared_lua import SHARED_ALLOW_OOM

# Jobs with a record of a later version keep their positions, for a worker that can read them; so
# many are looked at in one call.
#
# ARGV type owner lease-seconds version
# -> nil, or id, token, attempt, kind, request, model, warnings, submitted, started, inputs
CLAIM = (
    SHARED_ALLOW_OOM
    + """
local MOST_LATER = 20
local later, claimed = {}, false
while not claimed and #later < MOST_LATER do
  local id = take(ARGV[1])
  if not id then break end
  local job = JOB .. id
  if version(job) > tonumber(ARGV[4]) then
    later[#later + 1] = id
  elseif redis.call('HGET', job, 'state') == 'PENDING' then
    local time = now()
    redis.call('HSET', job, 'state', 'LOADING', 'owner', ARGV[2], 'claimed', text(time))
    local first = redis.call('HSETNX', job, 'started', text(time)) == 1
    redis.call('ZADD', LEASES, text(time + ARGV[3]), id)
    local token, attempt = unpack(redis.call('HMGET', job, 'token', 'attempts'))
    token, attempt = (tonumber(token) or 0) + 1, (tonumber(attempt) or 0) + 1
    redis.call('HSET', job, 'token', token, 'attempts', attempt)
    if first then send_webhook(id, 'started') end
    claimed = {id, token, attempt, unpack(redis.call('HMGET', job, 'kind', 'request', 'model',
      'warnings', 'submitted', 'started', 'inputs'))}
  end
end
for _, id in ipairs(later) do requeue(id) end
return claimed
"""
)

OWNERS = (
    SHARED_ALLOW_OOM
    + """
local id, job = ARGV[1], JOB .. ARGV[1]
if not held(job, ARGV[2], ARGV[3]) then return 'lost' end
local function reply(job) return cancelled(job) and 'cancel' or 'held' end
"""
)
"""The head of a script that only the owner of a job may run."""

# ARGV id token owner lease-seconds  -> held, cancel or lost
RENEW = (
    OWNERS
    + """
redis.call('ZADD', LEASES, text(now() + ARGV[4]), id)
return reply(job)
"""
)

# ARGV id token owner progress fraction  -> held, cancel or lost
REPORT = (
    OWNERS
    + """
redis.call('HSET', job, 'state', 'PROGRESS', 'progress', ARGV[4])
if tonumber(ARGV[5]) > tonumber(redis.call('HGET', job, 'fraction')) then
  redis.call('HSET', job, 'fraction', ARGV[5])
end
return reply(job)
"""
)

# The record counts previews over all attempts; each replaces the one before.
#
# ARGV id token owner preview ttl  -> held, cancel or lost
PREVIEW = (
    OWNERS
    + """
redis.call('HINCRBY', job, 'previews', 1)
redis.call('SET', PREVIEW .. id, ARGV[4], 'EX', ARGV[5])
return reply(job)
"""
)

# A report that arrives after loading has ended changes nothing.
#
# ARGV id token owner fraction  -> held, cancel or lost
LOADING = (
    OWNERS
    + """
if redis.call('HGET', job, 'state') == 'LOADING' then
  redis.call('HSET', job, 'loading', ARGV[4])
end
return reply(job)
"""
)

# Fields that only the owner may set: warnings, or the names of the pictures it will publish.
#
# ARGV id token owner field value ...  -> held, cancel or lost
NOTE = (
    OWNERS
    + """
redis.call('HSET', job, unpack(ARGV, 4))
return reply(job)
"""
)

# ARGV id token owner state ttl tombstone-ttl recent field value ...  -> held, cancel or lost
FINISH = (
    OWNERS
    + """
local state = ARGV[4]
if cancelled(job) and state ~= 'CANCELLED' then return 'cancel' end
redis.call('HSET', job, unpack(ARGV, 8))
finish(id, state, ARGV[5], ARGV[6])
if state == 'SUCCESS' then
  redis.call('HSET', job, 'fraction', 1)
  local own = RECENT_OF .. (redis.call('HGET', job, 'submitter') or '')
  for _, recent in ipairs({RECENT, own}) do
    redis.call('LPUSH', recent, id)
    redis.call('LTRIM', recent, 0, ARGV[7] - 1)
  end
  redis.call('EXPIRE', own, ARGV[5])
end
return 'held'
"""
)

# A job that was handed back `max-hand-backs` times pays with an attempt for each further time.
#
# ARGV id token owner ttl tombstone-ttl max-hand-backs max-attempts failure
# -> held, cancel (the job has ended: cancelled, or failed without attempts left) or lost
HAND_BACK = (
    OWNERS
    + """
if cancelled(job) then
  finish(id, 'CANCELLED', ARGV[4], ARGV[5])
  return 'cancel'
end
if redis.call('HINCRBY', job, 'hand_backs', 1) <= tonumber(ARGV[6]) then
  redis.call('HINCRBY', job, 'attempts', -1)
elseif tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(ARGV[7]) then
  redis.call('HSET', job, 'failure', ARGV[8])
  finish(id, 'FAILURE', ARGV[4], ARGV[5])
  return 'cancel'
end
return_to_queue(id)
return 'held'
"""
)

# The jobs of a later version are left to the reapers that can read them.
#
# ARGV ttl tombstone-ttl max-attempts failure lease-seconds version  -> id, state, type, ...
REAP = (
    SHARED_ALLOW_OOM
    + LEASE_CLOCK
    + """
clamp_leases(tonumber(ARGV[5]))
if not may_reap(tonumber(ARGV[5])) then return {} end
local found = {}
local function reap(id)
  local job = JOB .. id
  if not running(job) then
    redis.call('ZREM', LEASES, id)
    return nil
  elseif version(job) > tonumber(ARGV[6]) then
    return nil
  elseif cancelled(job) then
    finish(id, 'CANCELLED', ARGV[1], ARGV[2])
    return 'CANCELLED'
  elseif tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(ARGV[3]) then
    redis.call('HSET', job, 'failure', ARGV[4])
    finish(id, 'FAILURE', ARGV[1], ARGV[2])
    return 'FAILURE'
  end
  return_to_queue(id)
  return 'PENDING'
end
local expired = redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(now()), 'LIMIT', 0, 100)
for _, id in ipairs(expired) do
  local job = JOB .. id
  local readable, state = pcall(reap, id)
  if not readable then state = end_damaged(id, ARGV[1], ARGV[2]) end
  if state then
    found[#found + 1] = id
    found[#found + 1] = state
    found[#found + 1] = redis.call('HGET', job, 'type')
  end
end
return found
"""
)

# ARGV type seconds  -> how many jobs wait, if the next one has waited that long; else 0
OVERDUE = (
    SHARED_ALLOW_OOM
    + """
adopt(ARGV[1])
local queue = QUEUE .. ARGV[1]
local place = redis.call('ZRANGE', queue, 0, 0)[1]
if not place then return 0 end
local _, _, id = parts_of(place)
local waiting = redis.call('HGET', JOB .. id, 'waiting')
local waited = now() - (tonumber(waiting) or 0)  -- negative after Redis' clock was set back
if waited >= 0 and waited < tonumber(ARGV[2]) then return 0 end
local resent = RESENT .. ARGV[1]
if not redis.call('SET', resent, 1, 'NX', 'PX', math.floor(ARGV[2] * 1000)) then return 0 end
return redis.call('ZCARD', queue)
"""
)
