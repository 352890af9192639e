"""The scripts that postpone a job, and return it to its queue when its pause is over.

The store or Redis has failed while the job ran, which is not its fault.
"""

from jobs.records.claim_steps import OWNERS
from jobs.records.shared_lua import SHARED_ALLOW_OOM

# Earlier postponements that are older than the window belong to another outage.
#
# ARGV id token owner ttl tombstone-ttl failure window-seconds pause-seconds ...
# -> held (the job is postponed, or has failed since no pause is left), cancel or lost
POSTPONE = (
    OWNERS
    + """
if cancelled(job) then return 'cancel' end
local time = now()
local times, last = unpack(redis.call('HMGET', job, 'postponed', 'postponed_at'))
if not last or time - tonumber(last) > tonumber(ARGV[7]) then times = 0 end
local pause = ARGV[8 + times]
if not pause then
  redis.call('HSET', job, 'failure', ARGV[6])
  finish(id, 'FAILURE', ARGV[4], ARGV[5])
  return 'held'
end
redis.call('HINCRBY', job, 'attempts', -1)
redis.call('HSET', job, 'postponed', times + 1, 'postponed_at', text(time),
  'postponed_by', ARGV[6], 'postponed_most', #ARGV - 7)
take_from_worker(id)
postpone(id, text(time + pause))
return 'held'
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
local due = redis.call('ZRANGEBYSCORE', postponed, '-inf', text(time), 'LIMIT', 0, 100)
local ahead = '(' .. text(time + ARGV[2])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', postponed, ahead, '+inf', 'LIMIT', 0, 100)) do
  due[#due + 1] = id
end
local found = {}
for _, id in ipairs(due) do
  local state, submitter = unpack(redis.call('HMGET', JOB .. id, 'state', 'submitter'))
  end_pause(id, job_type, submitter or '')
  if state == 'PENDING' then
    redis.call('HSET', JOB .. id, 'waiting', text(time))
    enqueue(id)
    found[#found + 1] = id
  end
end
return found
"""
)
