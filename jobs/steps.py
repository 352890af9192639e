"""The steps of a job's life, each one atomic: Lua run by Redis, on Redis' own clock.

The record is the truth. Whoever holds the current fencing token of a running job may change it;
everybody else is told `lost`. A final state never changes.
"""

_SHARED = """
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local function text(seconds) return string.format('%.6f', seconds) end
local function running(job)
  local state = redis.call('HGET', job, 'state')
  return state == 'LOADING' or state == 'PROGRESS'
end
local function held(job, token)
  return running(job) and redis.call('HGET', job, 'token') == token
end
local function cancelled(job) return redis.call('HGET', job, 'cancel') == '1' end
local function finish(job, id, leases, state, ttl)
  redis.call('ZREM', leases, id)
  redis.call('HSET', job, 'state', state, 'finished', text(now()))
  redis.call('EXPIRE', job, ttl)
end
local function wait_again(job, id, leases, queues)
  redis.call('ZREM', leases, id)
  redis.call('HSET', job, 'state', 'PENDING', 'waiting', text(now()))
  redis.call('ZADD', queues .. redis.call('HGET', job, 'type'),
    redis.call('HGET', job, 'order'), id)
end
"""

# Who waits is counted from the queues themselves, which cannot drift from the truth as a counter
# could; whose it is, from the records, and only once a submitter could have reached its share.
#
# KEYS job queue order queue-of-every-type...
# ARGV id job-prefix submitter most-of-a-submitter most (0: any number) field value ...
# -> opened, taken (the id), share (the submitter has too many waiting) or full (the queues have)
OPEN = (
    _SHARED
    + """
local function has_its_share(most)
  local own = 0
  for queue = 4, #KEYS do
    for _, id in ipairs(redis.call('ZRANGE', KEYS[queue], 0, -1)) do
      if redis.call('HGET', ARGV[2] .. id, 'submitter') == ARGV[3] then own = own + 1 end
      if own >= most then return true end
    end
  end
  return false
end

if redis.call('EXISTS', KEYS[1]) == 1 then return 'taken' end
local most_each, most, waiting = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
for queue = 4, #KEYS do waiting = waiting + redis.call('ZCARD', KEYS[queue]) end
if most_each > 0 and waiting >= most_each and has_its_share(most_each) then return 'share' end
if most > 0 and waiting >= most then return 'full' end
local order = redis.call('INCR', KEYS[3])
local time = text(now())
redis.call('HSET', KEYS[1], 'state', 'PENDING', 'submitted', time, 'waiting', time,
  'order', order, 'attempts', 0, 'token', 0, 'fraction', 0, unpack(ARGV, 6))
redis.call('ZADD', KEYS[2], order, ARGV[1])
return 'opened'
"""
)

# KEYS job leases queue  ARGV id ttl  -> the state found, or 'none'
CANCEL = (
    _SHARED
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'none' end
if state == 'PENDING' then
  redis.call('HSET', KEYS[1], 'cancel', 1)
  redis.call('ZREM', KEYS[3], ARGV[1])
  finish(KEYS[1], ARGV[1], KEYS[2], 'CANCELLED', ARGV[2])
elseif running(KEYS[1]) then
  redis.call('HSET', KEYS[1], 'cancel', 1)
end
return state
"""
)

# KEYS queue leases  ARGV job-prefix owner lease-seconds
# -> nil, or id, token, attempt, kind, request, model, warnings, submitted, started
CLAIM = (
    _SHARED
    + """
while true do
  local id = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  if not id then return false end
  redis.call('ZREM', KEYS[1], id)
  local job = ARGV[1] .. id
  if redis.call('HGET', job, 'state') == 'PENDING' then
    local time = now()
    redis.call('HSET', job, 'state', 'LOADING', 'owner', ARGV[2], 'claimed', text(time))
    redis.call('HSETNX', job, 'started', text(time))
    redis.call('ZADD', KEYS[2], text(time + ARGV[3]), id)
    return {id, redis.call('HINCRBY', job, 'token', 1), redis.call('HINCRBY', job, 'attempts', 1),
      unpack(redis.call('HMGET', job, 'kind', 'request', 'model', 'warnings', 'submitted',
        'started'))}
  end
end
"""
)

# KEYS job leases  ARGV id token lease-seconds  -> held, cancel or lost
RENEW = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[2]) then return 'lost' end
redis.call('ZADD', KEYS[2], text(now() + ARGV[3]), ARGV[1])
return cancelled(KEYS[1]) and 'cancel' or 'held'
"""
)

# KEYS job  ARGV token progress fraction  -> held, cancel or lost
REPORT = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[1]) then return 'lost' end
redis.call('HSET', KEYS[1], 'state', 'PROGRESS', 'progress', ARGV[2])
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', KEYS[1], 'fraction')) then
  redis.call('HSET', KEYS[1], 'fraction', ARGV[3])
end
return cancelled(KEYS[1]) and 'cancel' or 'held'
"""
)

# A job that draws already is past its loading: what is told of that too late changes nothing.
#
# KEYS job  ARGV token share  -> held, cancel or lost
LOADING = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[1]) then return 'lost' end
if redis.call('HGET', KEYS[1], 'state') == 'LOADING' then
  redis.call('HSET', KEYS[1], 'loading', ARGV[2])
end
return cancelled(KEYS[1]) and 'cancel' or 'held'
"""
)

# KEYS job  ARGV token warnings  -> held, cancel or lost
WARN = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[1]) then return 'lost' end
redis.call('HSET', KEYS[1], 'warnings', ARGV[2])
return cancelled(KEYS[1]) and 'cancel' or 'held'
"""
)

# KEYS job leases recent  ARGV id token state ttl keep field value ...  -> held, cancel or lost
FINISH = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[2]) then return 'lost' end
if cancelled(KEYS[1]) and ARGV[3] ~= 'CANCELLED' then return 'cancel' end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
finish(KEYS[1], ARGV[1], KEYS[2], ARGV[3], ARGV[4])
if ARGV[3] == 'SUCCESS' then
  redis.call('HSET', KEYS[1], 'fraction', 1)
  redis.call('LPUSH', KEYS[3], ARGV[1])
  redis.call('LTRIM', KEYS[3], 0, ARGV[5] - 1)
end
return 'held'
"""
)

# KEYS job leases  ARGV id token queue-prefix ttl  -> held, cancel or lost
HAND_BACK = (
    _SHARED
    + """
if not held(KEYS[1], ARGV[2]) then return 'lost' end
if cancelled(KEYS[1]) then
  finish(KEYS[1], ARGV[1], KEYS[2], 'CANCELLED', ARGV[4])
  return 'cancel'
end
redis.call('HINCRBY', KEYS[1], 'attempts', -1)
wait_again(KEYS[1], ARGV[1], KEYS[2], ARGV[3])
return 'held'
"""
)

# KEYS leases  ARGV job-prefix queue-prefix ttl max-attempts failure  -> id, state, ...
REAP = (
    _SHARED
    + """
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now()), 'LIMIT', 0, 100)) do
  local job = ARGV[1] .. id
  local state = 'PENDING'
  if not running(job) then
    redis.call('ZREM', KEYS[1], id)
    state = nil
  elseif cancelled(job) then
    state = 'CANCELLED'
    finish(job, id, KEYS[1], state, ARGV[3])
  elseif tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(ARGV[4]) then
    state = 'FAILURE'
    redis.call('HSET', job, 'failure', ARGV[5])
    finish(job, id, KEYS[1], state, ARGV[3])
  else
    wait_again(job, id, KEYS[1], ARGV[2])
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

# KEYS queue rescue  ARGV job-prefix seconds  -> how many jobs wait, when the first waits too long
OVERDUE = (
    _SHARED
    + """
local id = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
if not id then return 0 end
local waiting = redis.call('HGET', ARGV[1] .. id, 'waiting')
if waiting and now() - tonumber(waiting) < tonumber(ARGV[2]) then return 0 end
if not redis.call('SET', KEYS[2], 1, 'NX', 'PX', math.floor(ARGV[2] * 1000)) then return 0 end
return redis.call('ZCARD', KEYS[1])
"""
)
