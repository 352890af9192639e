"""Jobs that a failure of the store or of Redis has sent back, as Lua functions of the scripts.

Such a job waits for a pause to end before it returns to the fair queue. `jobs.keys` lists the keys.
"""

POSTPONED_JOBS = """
local function submitter_postponed(job_type, submitter)
  return POSTPONED .. job_type .. ':' .. submitter
end

-- due: text, in seconds
local function postpone(id, due)
  local job = JOB .. id
  local job_type, submitter = unpack(redis.call('HMGET', job, 'type', 'submitter'))
  redis.call('ZADD', POSTPONED .. job_type, due, id)
  redis.call('ZADD', submitter_postponed(job_type, submitter), due, id)
  redis.call('HSET', job, 'retry_at', due)
end

-- Forget the pause of a job, if it has one.
local function end_pause(id, job_type, submitter)
  redis.call('ZREM', POSTPONED .. job_type, id)
  redis.call('ZREM', submitter_postponed(job_type, submitter), id)
  redis.call('HDEL', JOB .. id, 'retry_at')
end
"""
