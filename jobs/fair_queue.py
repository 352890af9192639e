"""Which job is next: the queue of a type, as Lua functions that the scripts share.

Submitters are served in turn, so that a thousand jobs of one do not starve the single job of
another. It is start-time fair queuing (Goyal et al. 1996) in which every job has the cost 1. The
first job of a submitter without waiting jobs gets the current virtual time as its start tag; each
further job's is larger by 1. The smallest start tag is served first; among equal ones the highest
priority of their submitters' first jobs, then the order of arrival. Among a submitter's own jobs
the priority decides, then the order of arrival. `jobs.keys` lists the keys.
"""

from jobs import keys

FAIR_QUEUE = (
    keys.LUA
    + """
local PRIORITY = 1e12  -- more than the jobs that will ever be counted

local function submitter_queue(job_type, submitter)
  return QUEUE .. job_type .. ':' .. submitter
end
local function virtual_time(job_type)
  return tonumber(redis.call('GET', VIRTUAL_TIME .. job_type) or 0)
end

local function enqueue(id)
  local job_type, submitter, order, priority =
    unpack(redis.call('HMGET', JOB .. id, 'type', 'submitter', 'order', 'priority'))
  redis.call('ZADD', QUEUE .. job_type, order, id)
  redis.call('ZADD', submitter_queue(job_type, submitter),
    string.format('%.0f', (9 - tonumber(priority)) * PRIORITY + tonumber(order)), id)
  if not redis.call('ZSCORE', ACTIVE .. job_type, submitter) then
    local tag = tonumber(redis.call('ZSCORE', IDLE .. job_type, submitter) or 0)
    redis.call('ZADD', ACTIVE .. job_type, math.max(virtual_time(job_type), tag), submitter)
    redis.call('ZREM', IDLE .. job_type, submitter)
  end
end

-- Enqueue a job that was taken but not executed: it costs its submitter no turn.
local function requeue(id)
  enqueue(id)
  local job_type, submitter = unpack(redis.call('HMGET', JOB .. id, 'type', 'submitter'))
  redis.call('ZINCRBY', ACTIVE .. job_type, -1, submitter)
end

local function remove(id, job_type, submitter)
  local own = submitter_queue(job_type, submitter)
  redis.call('ZREM', QUEUE .. job_type, id)
  if redis.call('ZREM', own, id) == 0 then return end
  if redis.call('EXISTS', own) == 1 then return end
  local active = ACTIVE .. job_type
  redis.call('ZADD', IDLE .. job_type, redis.call('ZSCORE', active, submitter), submitter)
  redis.call('ZREM', active, submitter)
end

-- Remove the next job and return its id; nil if none waits.
local function take(job_type)
  local active = ACTIVE .. job_type
  local tag = redis.call('ZRANGE', active, 0, 0, 'WITHSCORES')[2]
  if not tag then return nil end
  local id, submitter, score
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', active, tag, tag)) do
    local first = redis.call('ZRANGE', submitter_queue(job_type, each), 0, 0, 'WITHSCORES')
    local its_score = tonumber(first[2])
    if not id or its_score < score then id, submitter, score = first[1], each, its_score end
  end
  redis.call('SET', VIRTUAL_TIME .. job_type, math.max(virtual_time(job_type), tonumber(tag)))
  redis.call('ZINCRBY', active, 1, submitter)
  remove(id, job_type, submitter)
  redis.call('ZREMRANGEBYSCORE', IDLE .. job_type, '-inf', tag)
  return id
end

-- A job's position, 1 being next; false if it does not wait. Takes a step for each submitter.
local function queue_position(id, job_type, submitter)
  local own = submitter_queue(job_type, submitter)
  local rank = redis.call('ZRANK', own, id)
  if not rank then return false end
  local score = tonumber(redis.call('ZSCORE', own, id))
  local active = ACTIVE .. job_type
  local tag = tonumber(redis.call('ZSCORE', active, submitter)) + rank
  local before = rank
  local others = redis.call('ZRANGEBYSCORE', active, '-inf', tag, 'WITHSCORES')
  for i = 1, #others, 2 do
    if others[i] ~= submitter then
      local other = submitter_queue(job_type, others[i])
      local earlier = tag - tonumber(others[i + 1])
      local its_score = redis.call('ZRANGE', other, earlier, earlier, 'WITHSCORES')[2]
      if its_score and tonumber(its_score) < score then earlier = earlier + 1 end
      before = before + math.min(earlier, redis.call('ZCARD', other))
    end
  end
  return before + 1
end
"""
)
