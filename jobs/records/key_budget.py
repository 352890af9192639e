"""How much of Redis' memory a submitter's jobs hold, as Lua functions that the scripts share.

Two sums, both in bytes. That of the unended jobs is counted when a job is opened and when it ends,
and counted anew before a job is refused because of it, so a record that was lost cannot hold the
submitter up. That of the ended jobs needs no subtraction: a counter only grows, and each job has
the value that the counter had with it, so the difference of two values is what the jobs between
them hold. The records of the oldest are forgotten first, before they expire by time.
"""

from jobs import keys

KEY_BUDGET = (
    keys.LUA
    + """
-- What Redis keeps of an unended job besides the values that opened it, and of an ended one
-- besides its record: places in sorted sets, a tombstone, an idempotency key (Valkey 8).
local UNENDED_OVERHEAD, ENDED_OVERHEAD = 1700, 500
-- Tombstones are small, and are kept for so many times as many jobs as records are.
local TOMBSTONES = 4

local function final(state)
  return state == 'SUCCESS' or state == 'FAILURE' or state == 'CANCELLED'
end
local function counted(submitter, sum)
  return tonumber(redis.call('HGET', KEY_BYTES .. submitter, sum) or 0)
end

local function count_unended(id, submitter, bytes)
  redis.call('HSET', KEY_BYTES .. submitter, id, bytes)
  redis.call('HINCRBY', KEY_BYTES .. submitter, 'unended', bytes)
  redis.call('PERSIST', KEY_BYTES .. submitter)
end

local function recount_unended(submitter)
  local sums = {unended = true, ended = true, forgotten = true}
  local total, fields = 0, redis.call('HGETALL', KEY_BYTES .. submitter)
  for i = 1, #fields, 2 do
    local id = fields[i]
    if not sums[id] then
      local state = redis.call('HGET', JOB .. id, 'state')
      if not state or final(state) then
        redis.call('HDEL', KEY_BYTES .. submitter, id)
      else
        total = total + tonumber(fields[i + 1])
      end
    end
  end
  redis.call('HSET', KEY_BYTES .. submitter, 'unended', total)
  return total
end

-- A job has ended; its record has all its fields. seconds: until its tombstone expires.
local function count_ended(id, submitter, seconds)
  local sums, ended_jobs = KEY_BYTES .. submitter, ENDED_JOBS .. submitter
  local unended = redis.call('HGET', sums, id)
  if unended then
    redis.call('HDEL', sums, id)
    redis.call('HINCRBY', sums, 'unended', -unended)
  end
  local bytes = redis.call('MEMORY', 'USAGE', JOB .. id, 'SAMPLES', 0) + ENDED_OVERHEAD
  redis.call('ZADD', ended_jobs, redis.call('HINCRBY', sums, 'ended', bytes), id)
  -- a job may wait for longer than the ended ones are known
  if counted(submitter, 'unended') <= 0 then redis.call('EXPIRE', sums, seconds) end
  redis.call('EXPIRE', ended_jobs, seconds)
end

-- Delete an ended job's record and what leads to it, not its pictures.
local function forget(id)
  local idempotency = redis.call('HGET', JOB .. id, 'idempotency')
  if idempotency then redis.call('DEL', idempotency) end
  redis.call('DEL', JOB .. id)
end
local function forget_messages(id)
  for _, event in ipairs({'started', 'finished', 'failed', 'cancelled'}) do
    redis.call('DEL', DELIVERY .. id .. '.' .. event)
    redis.call('ZREM', DELIVERIES, id .. '.' .. event)
  end
end

-- Forget the oldest ended jobs of a submitter until the others hold no more than `bytes`.
local function forget_oldest(submitter, bytes)
  local ended_jobs, ended = ENDED_JOBS .. submitter, counted(submitter, 'ended')
  local last = ended - bytes
  local forgotten = counted(submitter, 'forgotten')
  if last <= forgotten then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ended_jobs, '(' .. forgotten, last)) do
    forget(id)
    forget_messages(id)
  end
  redis.call('HSET', KEY_BYTES .. submitter, 'forgotten', string.format('%.0f', last))
  local old = redis.call('ZRANGEBYSCORE', ended_jobs, '-inf', ended - TOMBSTONES * bytes)
  for _, id in ipairs(old) do redis.call('DEL', TOMBSTONE .. id) end
  redis.call('ZREMRANGEBYSCORE', ended_jobs, '-inf', ended - TOMBSTONES * bytes)
end
"""
)
