"""The steps of a job's life, each one atomic: Lua run by Redis, on Redis' own clock.

The record is the truth. Whoever holds the current fencing token of a running job may change it;
everybody else is told `lost`. A final state never changes. Every job that ends is counted once, by
the same step that ends it.
"""

from jobs.lua import SHARED, SHARED_FREE

# Who waits is counted from the queues themselves, which cannot drift from the truth as a counter
# could.
#
# KEYS the hash of the idempotency key, if there is one
# ARGV id type submitter most-of-a-submitter most (0: any number) digest-of-the-body
#      number-of-types type... field value ...
# -> opened, taken (the id), share (the submitter has too many waiting), full (the queues have),
#    same (the idempotency key has a job, of this body) or other (of another one)
OPEN = (
    SHARED
    + """
local id, type, who, each, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local same, digest, last = KEYS[1], ARGV[6], 7 + tonumber(ARGV[7])
local job = P .. 'job:' .. id
if redis.call('EXISTS', job) == 1 then return 'taken' end
if same then
  local known = redis.call('HGET', same, 'body')
  if known then return known == digest and 'same' or 'other' end
end
local waiting, mine = 0, 0
for place = 8, last do
  waiting = waiting + redis.call('ZCARD', P .. 'queue:' .. ARGV[place])
  mine = mine + redis.call('ZCARD', own(ARGV[place], who))
end
if each > 0 and mine >= each then return 'share' end
if most > 0 and waiting >= most then return 'full' end
local time = text(now())
redis.call('HSET', job, 'state', 'PENDING', 'type', type, 'submitter', who, 'submitted', time,
  'waiting', time, 'order', redis.call('INCR', P .. 'order'), 'attempts', 0, 'token', 0,
  'fraction', 0, unpack(ARGV, last + 1))
if same then
  redis.call('HSET', job, 'same', same)
  redis.call('HSET', same, 'body', digest, 'job', id)
  for _, fact in ipairs({'type', 'model', 'warnings'}) do
    redis.call('HSET', same, fact, redis.call('HGET', job, fact))
  end
end
enter(id)
return 'opened'
"""
)

_READING = (
    SHARED_FREE
    + """
local function read(id)
  local job = P .. 'job:' .. id
  local type, who = unpack(redis.call('HMGET', job, 'type', 'submitter'))
  if not type then return redis.call('EXISTS', P .. 'gone:' .. id) == 1 and 'gone' end
  return {place(id, type, who), redis.call('HGETALL', job)}
end
"""
)

# ARGV id  -> false, 'gone', or place (or false) and the record
READ = _READING + "return read(ARGV[1])"

# Many jobs at once; a preview is sent only to who has not had it.
#
# ARGV id previews-had ...  -> for each what READ answers, with the preview (or false) after it
WATCH = (
    _READING
    + """
local found = {}
for i = 1, #ARGV, 2 do
  local id, had = ARGV[i], tonumber(ARGV[i + 1])
  local one = read(id)
  if type(one) == 'table' then
    local drawn = tonumber(redis.call('HGET', P .. 'job:' .. id, 'previews') or 0)
    one[3] = drawn ~= had and redis.call('GET', P .. 'preview:' .. id)
  end
  found[#found + 1] = one
end
return found
"""
)

# Another's job is answered as one that never was.
#
# ARGV id by (or '*': anybody's) ttl afterwards forget ('1': a success is forgotten)
# -> the state found, 'none' or 'gone'
CANCEL = (
    SHARED_FREE
    + """
local id, by = ARGV[1], ARGV[2]
local job = P .. 'job:' .. id
local state, who, type = unpack(redis.call('HMGET', job, 'state', 'submitter', 'type'))
who = who or redis.call('GET', P .. 'gone:' .. id)
if not who or (by ~= '*' and who ~= '' and who ~= by) then return 'none' end
if not state then return 'gone' end
if state == 'PENDING' then
  redis.call('HSET', job, 'cancel', 1)
  leave(id, type, who)
  finish(id, 'CANCELLED', ARGV[3], ARGV[4])
elseif running(job) then
  redis.call('HSET', job, 'cancel', 1)
elseif state == 'SUCCESS' and ARGV[5] == '1' then
  forget(id)
end
return state
"""
)

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
