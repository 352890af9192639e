"""Turns among the users of one submitter, as Lua functions of `jobs.records.fair_queue`.

A submitter may say whose job it submits. Among its own jobs of one priority its users are then
served in turn, by start-time fair queuing with each job counted as one: a job's turn is the current
turn, or one after the turn of its user's job before it. The lowest turn is first; among equal ones
the order of arrival. Nothing of this changes when the submitter itself is served.

The jobs of a submitter wait in the order of their scores, each of which is made of a priority and a
number of arrival. A job that its user's turn puts before others takes the number of the first of
them; each of those takes the number of the next, and the last one the number of the new job. So
every job has a number of its own, whatever happens to it, and one that returns to the queue goes
where it was.

Jobs without a user are those of one nameless user. While a submitter names no users there are no
turns to keep: its jobs then wait as they arrive, and no later job overtakes them.
"""

USERS_IN_TURN = """
local CURRENT_USER_TURN, USER_TURNS_SECONDS = '*', 86400

local function user_turns(job_type, submitter, priority)
  return USER_TURNS .. job_type .. ':' .. submitter .. ':' .. (priority or 0)
end
local function set_user_turn(turns, user, turn)
  redis.call('ZADD', turns, string.format('%.0f', turn), user)
  redis.call('EXPIRE', turns, USER_TURNS_SECONDS)
end
local function score_of(priority, order)
  return (9 - (tonumber(priority) or 0)) * PRIORITY + (tonumber(order) or 0)
end
local function set_own_score(own, id, score)
  local text = string.format('%.0f', score)
  redis.call('ZADD', own, text, id)
  redis.call('HSET', JOB .. id, 'own_score', text)
end
-- The scores of a priority: the least, and the first that is too large.
local function scores_like(score)
  local least = math.floor(score / PRIORITY) * PRIORITY
  return string.format('%.0f', least), string.format('(%.0f', least + PRIORITY)
end

-- The own jobs with a score's priority whose turn is later than `turn`, the last one first; and
-- `turn`, or the one after the last job of this user.
local function jobs_to_overtake(own, score, user, turn)
  local least, above = scores_like(score)
  local found, offset = {}, 0
  while true do
    local ids =
      redis.call('ZREVRANGEBYSCORE', own, above, least, 'WITHSCORES', 'LIMIT', offset, 100)
    for i = 1, #ids, 2 do
      local its_user, its_turn = unpack(redis.call('HMGET', JOB .. ids[i], 'user', 'user_turn'))
      its_turn = tonumber(its_turn)
      if its_turn and (its_user or '') == user then return found, math.max(turn, its_turn + 1) end
      if not its_turn or its_turn <= turn then return found, turn end
      found[#found + 1] = {ids[i], tonumber(ids[i + 1])}
    end
    if #ids == 0 then return found, turn end
    offset = offset + 100
  end
end

-- Give a new job, which does not wait yet, its user's next turn and its score.
local function take_user_turn(id)
  local job_type, submitter, user, priority, order =
    unpack(redis.call('HMGET', JOB .. id, 'type', 'submitter', 'user', 'priority', 'order'))
  local turns = user_turns(job_type, submitter, priority)
  if not user and redis.call('EXISTS', turns) == 0 then return end
  user = user or ''
  local own, score = submitter_queue(job_type, submitter), score_of(priority, order)
  local current = redis.call('ZSCORE', turns, CURRENT_USER_TURN)
  if not current then
    local least, above = scores_like(score)
    local first = redis.call('ZRANGEBYSCORE', own, least, above, 'LIMIT', 0, 1)[1]
    current = first and redis.call('HGET', JOB .. first, 'user_turn') or 0
  end
  local next_turn = tonumber(redis.call('ZSCORE', turns, user) or 0)
  local later, turn = jobs_to_overtake(own, score, user, math.max(tonumber(current), next_turn))
  for _, job in ipairs(later) do
    set_own_score(own, job[1], score)
    score = job[2]
  end
  redis.call('HSET', JOB .. id, 'user_turn', turn, 'own_score', string.format('%.0f', score))
  set_user_turn(turns, user, turn + 1)
end

-- A job is taken: its turn is the current one.
local function pass_user_turn(id, job_type, submitter)
  local turn, priority = unpack(redis.call('HMGET', JOB .. id, 'user_turn', 'priority'))
  if not turn then return end
  local turns = user_turns(job_type, submitter, priority)
  local current = tonumber(redis.call('ZSCORE', turns, CURRENT_USER_TURN) or 0)
  current = math.max(tonumber(turn), current)
  redis.call('ZREMRANGEBYSCORE', turns, '-inf', string.format('(%.0f', current))
  set_user_turn(turns, CURRENT_USER_TURN, current)
end

-- The place of a job that is removed goes to its user's next one, and so on: what is left is the
-- place of the last, which is returned.
local function give_place_to_user(id, job_type, submitter, turn, score)
  local user, user_turn, priority =
    unpack(redis.call('HMGET', JOB .. id, 'user', 'user_turn', 'priority'))
  if not user_turn then return turn, score end
  user = user or ''
  local own, turns = submitter_queue(job_type, submitter), user_turns(job_type, submitter, priority)
  local _, above = scores_like(score)
  local from = string.format('(%.0f', score)
  local behind = redis.call('ZRANGEBYSCORE', own, from, above, 'WITHSCORES', 'LIMIT', 0, MOST_MOVED)
  for i = 1, #behind, 2 do
    local its_user, its_user_turn, place =
      unpack(redis.call('HMGET', JOB .. behind[i], 'user', 'user_turn', 'place'))
    if its_user_turn and place and (its_user or '') == user then
      local moved = turn_text(turn) .. string.sub(place, TURN_WIDTH + 1)
      redis.call('ZREM', QUEUE .. job_type, place)
      redis.call('ZADD', QUEUE .. job_type, 0, moved)
      redis.call('HSET', JOB .. behind[i], 'place', moved, 'user_turn', user_turn)
      set_own_score(own, behind[i], score)
      turn, score, user_turn = turn_of(place), tonumber(behind[i + 1]), its_user_turn
    end
  end
  if tonumber(redis.call('ZSCORE', turns, user)) == user_turn + 1 then
    set_user_turn(turns, user, user_turn)
  end
  return turn, score
end
"""
