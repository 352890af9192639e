"""Who is next: the waiting line of a type, as Lua functions that the steps share.

Submitters take turns, so that a thousand jobs of one do not starve the single job of another. It is
start-time fair queuing (Goyal et al. 1996) with every job counted as one: a submitter who begins to
wait gets the turn that is being served, and with every job taken its next turn is one later. Whose
turn is the same are served by the priority of their first jobs, then in the order they came. Within
a submitter's own jobs priority goes first, then the order.

    queue:<type>              every waiting job, by its order of arrival
    queue:<type>:<submitter>  those of one submitter, by priority and order
    turns:<type>              who waits, by the turn that is next
    rested:<type>             who waits no more, by the turn that would have been next
    turn:<type>               the turn last served
"""

from jobs import keys

LINE = (
    f"""
local P = '{keys.PREFIX}'
"""
    + """
local LEVEL = 1e12  -- more than jobs will ever be counted

local function own(type, who) return P .. 'queue:' .. type .. ':' .. who end
local function turn_served(type) return tonumber(redis.call('GET', P .. 'turn:' .. type) or 0) end

-- Put a job in line.
local function enter(id)
  local type, who, order, priority =
    unpack(redis.call('HMGET', P .. 'job:' .. id, 'type', 'submitter', 'order', 'priority'))
  redis.call('ZADD', P .. 'queue:' .. type, order, id)
  redis.call('ZADD', own(type, who),
    string.format('%.0f', (9 - tonumber(priority)) * LEVEL + tonumber(order)), id)
  if not redis.call('ZSCORE', P .. 'turns:' .. type, who) then
    local rested = tonumber(redis.call('ZSCORE', P .. 'rested:' .. type, who) or 0)
    redis.call('ZADD', P .. 'turns:' .. type, math.max(turn_served(type), rested), who)
    redis.call('ZREM', P .. 'rested:' .. type, who)
  end
end

-- Put a job in line that was taken before and not drawn: its submitter gets the turn back.
local function enter_again(id)
  enter(id)
  local type, who = unpack(redis.call('HMGET', P .. 'job:' .. id, 'type', 'submitter'))
  redis.call('ZINCRBY', P .. 'turns:' .. type, -1, who)
end

-- Take a job out of the line.
local function leave(id, type, who)
  redis.call('ZREM', P .. 'queue:' .. type, id)
  if redis.call('ZREM', own(type, who), id) == 0 then return end
  if redis.call('EXISTS', own(type, who)) == 1 then return end
  local turns = P .. 'turns:' .. type
  redis.call('ZADD', P .. 'rested:' .. type, redis.call('ZSCORE', turns, who), who)
  redis.call('ZREM', turns, who)
end

-- Take the next job out of the line; nil when nobody waits.
local function take(type)
  local turns = P .. 'turns:' .. type
  local turn = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2]
  if not turn then return nil end
  local id, who, score
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', turns, turn, turn)) do
    local first = redis.call('ZRANGE', own(type, each), 0, 0, 'WITHSCORES')
    local level = tonumber(first[2])
    if not id or level < score then id, who, score = first[1], each, level end
  end
  redis.call('SET', P .. 'turn:' .. type, math.max(turn_served(type), tonumber(turn)))
  redis.call('ZINCRBY', turns, 1, who)
  leave(id, type, who)
  redis.call('ZREMRANGEBYSCORE', P .. 'rested:' .. type, '-inf', turn)
  return id
end

-- A job's place, 1 being next; false when it is not in line. Costs a step for each submitter.
local function place(id, type, who)
  local rank = redis.call('ZRANK', own(type, who), id)
  if not rank then return false end
  local score = tonumber(redis.call('ZSCORE', own(type, who), id))
  local turns = P .. 'turns:' .. type
  local turn = tonumber(redis.call('ZSCORE', turns, who)) + rank
  local before = rank
  local others = redis.call('ZRANGEBYSCORE', turns, '-inf', turn, 'WITHSCORES')
  for i = 1, #others, 2 do
    if others[i] ~= who then
      local earlier = turn - tonumber(others[i + 1])
      local level = redis.call('ZRANGE', own(type, others[i]), earlier, earlier, 'WITHSCORES')[2]
      if level and tonumber(level) < score then earlier = earlier + 1 end
      before = before + math.min(earlier, redis.call('ZCARD', own(type, others[i])))
    end
  end
  return before + 1
end
"""
)
