"""The steps of `jobs.record`, each one atomic: Lua run by Redis, on Redis' own clock.

The record is the truth. A final state never changes, and every job that ends is counted once, by
the same step that ends it. The worker's steps are in `jobs.claim_steps`.
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
