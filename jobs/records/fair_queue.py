"""Which job is next: the queue of a type, as Lua functions that the scripts share.

Submitters are served in turn, so that a thousand jobs of one do not starve the single job of
another. It is start-time fair queuing (Goyal et al. 1996) in which every job has the cost 1. The
first job of a submitter without waiting jobs gets the current turn as its start tag; each further
job's is larger by 1. The smallest start tag is served first; among equal ones the highest
priority, then the order of arrival. Among a submitter's own jobs the priority decides, then the
turns of its users if it names any (`jobs.records.user_turns`), then the order of arrival.

Every waiting job has its place, `<start tag>:<priority and arrival>:<id>:<submitter>` with numbers
of fixed width, in its record and in the queue of its type. The queue is in the order of these
strings, so the next job is its first member and a job's position is a rank: both take O(log n),
however many jobs and submitters wait. A job that is inserted before others of its submitter, or
removed from between them, moves those: O(the submitter's own jobs).

A key that was deleted by hand makes no function raise. `jobs.records.queue_repair` finds the jobs
again.
"""

from jobs import keys
from jobs.records.user_turns import USERS_IN_TURN

_PLACES = """
local PRIORITY = 1e12  -- more than the jobs that will ever be counted
local FIRST_TURN = 1e9  -- jobs that return to the queue may get earlier ones
local TURN_WIDTH = 16
local MOST_MOVED, MOVED_AT_ONCE = 500, 100

local function submitter_queue(job_type, submitter)
  return QUEUE .. job_type .. ':' .. submitter
end
local function turn_text(turn) return string.format('%016.0f', turn) end
local function turn_of(place) return tonumber(string.sub(place, 1, TURN_WIDTH)) end
-- The turn, the priority and arrival, the id, and the submitter.
local function parts_of(place)
  local turn, score, id, submitter = string.match(place, '^(%d+):(%d+):([^:]*):(.*)$')
  return tonumber(turn), tonumber(score), id, submitter
end
local function place_of(id) return redis.call('HGET', JOB .. id, 'place') end
"""

FAIR_QUEUE = (
    keys.LUA
    + _PLACES
    + USERS_IN_TURN
    + """
local function current_turn(job_type)
  local turn = redis.call('GET', TURN .. job_type)
  if turn then return tonumber(turn) end
  local first = redis.call('ZRANGE', QUEUE .. job_type, 0, 0)[1]
  local idle = redis.call('ZRANGE', IDLE .. job_type, 0, 0, 'WITHSCORES')[2]
  return first and turn_of(first) or tonumber(idle) or FIRST_TURN
end

-- The own jobs behind a score (step 1) or before it (step -1), the nearest first: id, score, ...
local function own_jobs(own, score, step, most)
  local command, limit = 'ZRANGEBYSCORE', '+inf'
  if step < 0 then command, limit = 'ZREVRANGEBYSCORE', '-inf' end
  local from = string.format('(%.0f', score)
  return redis.call(command, own, from, limit, 'WITHSCORES', 'LIMIT', 0, most)
end

-- The turn of the nearest of them, or nil.
local function neighbour(own, score, step)
  while true do
    local id = own_jobs(own, score, step, 1)[1]
    if not id then return nil end
    local place = place_of(id)
    if place then return turn_of(place) end
    redis.call('ZREM', own, id)  -- its record has been deleted
  end
end

-- Move the own jobs behind a score (step 1) or before it (step -1) to `turn`, `turn` + step ...,
-- as long as one `must_move`, and about `most` of them.
local function move(job_type, submitter, score, step, turn, must_move, most)
  local own, left = submitter_queue(job_type, submitter), most
  while left > 0 do
    local ids = own_jobs(own, score, step, MOVED_AT_ONCE)
    if #ids == 0 then return end
    local old, new, stays = {}, {}, false
    for i = 1, #ids, 2 do
      local id, place = ids[i], place_of(ids[i])
      if not place then
        redis.call('ZREM', own, id)
      elseif must_move(turn_of(place), turn) then
        local moved = turn_text(turn) .. string.sub(place, TURN_WIDTH + 1)
        old[#old + 1] = place
        new[#new + 1] = 0
        new[#new + 1] = moved
        redis.call('HSET', JOB .. id, 'place', moved)
        turn = turn + step
      else
        stays = true
        break
      end
      score = tonumber(ids[i + 1])
    end
    if #old > 0 then
      redis.call('ZREM', QUEUE .. job_type, unpack(old))
      redis.call('ZADD', QUEUE .. job_type, unpack(new))
    end
    if stays then return end
    left = left - MOVED_AT_ONCE
  end
end
local function is_later(turn, wanted) return turn > wanted end
local function is_earlier(turn, wanted) return turn < wanted end

-- Remove a job that a process of the version before has enqueued.
local function remove_old(id, job_type, submitter)
  local own = OLD_QUEUE .. job_type .. ':' .. submitter
  redis.call('ZREM', OLD_QUEUE .. job_type, id)
  redis.call('ZREM', own, id)
  if redis.call('EXISTS', own) == 0 then
    redis.call('ZREM', OLD_ACTIVE .. job_type, submitter)
  end
end

-- `returned`: the job was taken but not executed, and costs its submitter no turn.
local function insert(id, returned)
  local job_type, submitter, order, priority, place, score = unpack(redis.call('HMGET',
    JOB .. id, 'type', 'submitter', 'order', 'priority', 'place', 'own_score'))
  if not job_type or place and redis.call('ZSCORE', QUEUE .. job_type, place) then return end
  submitter = submitter or ''
  local arrival = score_of(priority, order)
  score = tonumber(score) or arrival
  local own = submitter_queue(job_type, submitter)
  local before, behind = neighbour(own, score, -1), neighbour(own, score, 1)
  local turn = before and before + 1 or behind
  if not turn then
    local idle = tonumber(redis.call('ZSCORE', IDLE .. job_type, submitter) or 0)
    turn = math.max(current_turn(job_type), idle)
    redis.call('ZREM', IDLE .. job_type, submitter)
  end
  if returned then
    turn = turn - 1
    move(job_type, submitter, score, -1, turn - 1, is_later, math.huge)
  else
    move(job_type, submitter, score, 1, turn + 1, is_earlier, math.huge)
  end
  redis.call('ZADD', own, string.format('%.0f', score), id)
  place = string.format('%s:%014.0f:%s:%s', turn_text(turn), arrival, id, submitter)
  redis.call('ZADD', QUEUE .. job_type, 0, place)
  redis.call('HSET', JOB .. id, 'place', place)
end

local function enqueue(id) insert(id, false) end

-- Enqueue a job that was taken but not executed: it costs its submitter no turn.
local function requeue(id) insert(id, true) end

-- The jobs behind it move up, MOST_MOVED of them at most: a submitter with more waiting jobs may
-- lose a turn, but the removal of one job never holds up Redis.
local function remove(id, job_type, submitter)
  remove_old(id, job_type, submitter)
  local own, place = submitter_queue(job_type, submitter), place_of(id)
  local own_score = tonumber(redis.call('ZSCORE', own, id))
  redis.call('ZREM', own, id)
  if not place then return end
  local waited = redis.call('ZREM', QUEUE .. job_type, place) == 1
  redis.call('HDEL', JOB .. id, 'place')
  local turn, score = parts_of(place)
  score = own_score or score
  if own_score and waited then
    turn, score = give_place_to_user(id, job_type, submitter, turn, score)
  end
  if redis.call('EXISTS', own) == 0 then
    redis.call('ZADD', IDLE .. job_type, turn, submitter)
  else
    move(job_type, submitter, score, 1, turn, is_later, MOST_MOVED)
  end
end

-- Move the jobs that a process of the version before has enqueued into the queue of this one,
-- MOST_MOVED at once: the submitters in turn, each one's jobs in order.
local function adopt(job_type)
  local queue, active = OLD_QUEUE .. job_type, OLD_ACTIVE .. job_type
  if redis.call('EXISTS', queue) == 0 then return end
  local left = MOST_MOVED
  local function adopt_all(ids, submitter)
    for _, id in ipairs(ids) do
      local state, its_submitter = unpack(redis.call('HMGET', JOB .. id, 'state', 'submitter'))
      remove_old(id, job_type, submitter or its_submitter or '')
      if state == 'PENDING' then enqueue(id) end
      left = left - 1
    end
  end
  for _, submitter in ipairs(redis.call('ZRANGE', active, 0, left - 1)) do
    if left <= 0 then return end
    adopt_all(redis.call('ZRANGE', queue .. ':' .. submitter, 0, left - 1), submitter)
    if redis.call('EXISTS', queue .. ':' .. submitter) == 0 then
      redis.call('ZREM', active, submitter)
    end
  end
  if redis.call('EXISTS', active) == 1 then return end
  adopt_all(redis.call('ZRANGE', queue, 0, math.max(left, 1) - 1))
  if redis.call('EXISTS', queue) == 0 then
    redis.call('DEL', OLD_IDLE .. job_type, OLD_VIRTUAL_TIME .. job_type)
  end
end

-- Remove the next job and return its id; nil if none waits.
local function take(job_type)
  adopt(job_type)
  local queue = QUEUE .. job_type
  while true do
    local place = redis.call('ZRANGE', queue, 0, 0)[1]
    if not place then return nil end
    redis.call('ZREM', queue, place)
    local turn, _, id, submitter = parts_of(place)
    local its_place = place_of(id)
    if its_place == place then
      local own = submitter_queue(job_type, submitter)
      redis.call('HDEL', JOB .. id, 'place')
      redis.call('ZREM', own, id)
      redis.call('SET', TURN .. job_type,
        string.format('%.0f', math.max(turn, tonumber(redis.call('GET', TURN .. job_type) or 0))))
      redis.call('ZREMRANGEBYSCORE', IDLE .. job_type, '-inf', turn)
      pass_user_turn(id, job_type, submitter)
      if redis.call('EXISTS', own) == 0 then
        redis.call('ZADD', IDLE .. job_type, turn + 1, submitter)
      end
      return id
    end
    -- its record has been deleted, or has another place
    if not its_place then redis.call('ZREM', submitter_queue(job_type, submitter), id) end
  end
end

-- A job's position, 1 being next; false if it does not wait. Jobs to adopt come last.
local function queue_position(id, job_type)
  local queue, place = QUEUE .. job_type, place_of(id)
  local rank = place and redis.call('ZRANK', queue, place)
  if rank then return rank + 1 end
  rank = redis.call('ZRANK', OLD_QUEUE .. job_type, id)
  return rank and redis.call('ZCARD', queue) + rank + 1
end
"""
)
