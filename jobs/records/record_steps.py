"""The scripts of `jobs.records.record`, each one atomic: Lua that Redis runs, by Redis' clock.

The record is the truth. A final state never changes, and the script that ends a job also counts
it, so each job is counted once. The worker's scripts are in `jobs.records.claim_steps`.
"""

from jobs.records.shared_lua import SHARED, SHARED_ALLOW_OOM

# Waiting jobs are counted from the queues themselves; a counter beside them could drift.
#
# KEYS the hash of the idempotency key, if there is one
# ARGV id type submitter per-submitter total bytes-per-submitter (caps; 0: any number)
#      digest-of-the-body number-of-types type... field value ...
# -> opened, taken (the id exists), share (the submitter's jobs reach the cap), full (all jobs do),
#    bytes (the submitter's unended jobs would hold more), same (the idempotency key has a job of
#    this body) or other (of another body)
OPEN = (
    SHARED
    + """
local id, job_type, submitter = ARGV[1], ARGV[2], ARGV[3]
local per_submitter, total, most_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local idempotency, digest, last_type = KEYS[1], ARGV[7], 8 + tonumber(ARGV[8])
local job = JOB .. id
if redis.call('EXISTS', job) == 1 then return 'taken' end
if idempotency then
  local known, its_job = unpack(redis.call('HMGET', idempotency, 'body', 'job'))
  if known and its_job and redis.call('EXISTS', JOB .. its_job) == 1 then
    return known == digest and 'same' or 'other'
  end
end
local waiting, own = 0, 0
for i = 9, last_type do
  adopt(ARGV[i])
  waiting = waiting + redis.call('ZCARD', QUEUE .. ARGV[i])
    + redis.call('ZCARD', POSTPONED .. ARGV[i])
  own = own + redis.call('ZCARD', submitter_queue(ARGV[i], submitter))
    + redis.call('ZCARD', submitter_postponed(ARGV[i], submitter))
end
if per_submitter > 0 and own >= per_submitter then return 'share' end
if total > 0 and waiting >= total then return 'full' end
local bytes = UNENDED_OVERHEAD
for i = last_type + 1, #ARGV do bytes = bytes + #ARGV[i] end
if most_bytes > 0 and counted(submitter, 'unended') + bytes > most_bytes
  and recount_unended(submitter) + bytes > most_bytes then return 'bytes' end
local time = text(now())
redis.call('HSET', job, 'state', 'PENDING', 'type', job_type, 'submitter', submitter,
  'submitted', time, 'waiting', time, 'order', redis.call('INCR', ARRIVALS), 'attempts', 0,
  'token', 0, 'fraction', 0, unpack(ARGV, last_type + 1))
if idempotency then
  redis.call('HSET', job, 'idempotency', idempotency)
  redis.call('HSET', idempotency, 'body', digest, 'job', id)
  for _, field in ipairs({'type', 'model', 'warnings'}) do
    redis.call('HSET', idempotency, field, redis.call('HGET', job, field))
  end
end
take_user_turn(id)
enqueue(id)
count_unended(id, submitter, bytes)
if most_bytes > 0 then forget_oldest(submitter, most_bytes - counted(submitter, 'unended')) end
return 'opened'
"""
)

_READING = (
    SHARED_ALLOW_OOM
    + """
local function read_record(id)
  local job = JOB .. id
  local fields = redis.call('HGETALL', job)
  if #fields == 0 then return redis.call('EXISTS', TOMBSTONE .. id) == 1 and 'expired' end
  local job_type = redis.call('HGET', job, 'type')
  return {job_type and queue_position(id, job_type), fields}
end
local function read(id)
  local readable, found = pcall(read_record, id)
  if readable then return found end
  return {'unreadable', type(found) == 'table' and found.err or tostring(found)}
end
"""
)

# A record that cannot be read must not keep the caller from others.
#
# ARGV id  -> false (no such job), 'expired', queue position (or false) and record, or 'unreadable'
#             and why
READ = _READING + "return read(ARGV[1])"

# Many jobs at once; a preview is sent only if the caller does not have it.
#
# ARGV id previews-known ...  -> for each job READ's reply, with the preview (or false) after it
WATCH = (
    _READING
    + """
local found = {}
for i = 1, #ARGV, 2 do
  local id, known = ARGV[i], tonumber(ARGV[i + 1])
  local one = read(id)
  if type(one) == 'table' and one[1] ~= 'unreadable' then
    local previews = tonumber(redis.call('HGET', JOB .. id, 'previews') or 0)
    one[3] = previews ~= known and redis.call('GET', PREVIEW .. id)
  end
  found[#found + 1] = one
end
return found
"""
)

# Another submitter's job gets the same reply as one that does not exist.
#
# ARGV id by ('*': may cancel every job) ttl tombstone-ttl delete ('1': delete a successful job)
# -> the state found, 'none' or 'expired'
CANCEL = (
    SHARED_ALLOW_OOM
    + """
local id, by = ARGV[1], ARGV[2]
local job = JOB .. id
local state, submitter, job_type = unpack(redis.call('HMGET', job, 'state', 'submitter', 'type'))
submitter = submitter or redis.call('GET', TOMBSTONE .. id) or (state and '')
if not submitter or (by ~= '*' and submitter ~= '' and submitter ~= by) then return 'none' end
if not state then return 'expired' end
if state == 'PENDING' then
  redis.call('HSET', job, 'cancel', 1)
  if job_type then
    remove(id, job_type, submitter)
    end_pause(id, job_type, submitter)
  end
  finish(id, 'CANCELLED', ARGV[3], ARGV[4])
elseif running(job) then
  redis.call('HSET', job, 'cancel', 1)
elseif state == 'SUCCESS' and ARGV[5] == '1' then
  delete_record(id)
end
return state
"""
)
