"""What the steps of records and claims and their like share: Lua functions on Redis' own clock.

They name their keys themselves (`jobs.keys`): they are for one server, not for a cluster.
"""

from jobs.fair_queue import LINE

_FREE = "#!lua flags=allow-oom\n"
CLOCK = """
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end
"""

# A job that ends leaves, in the same step: a stone that outlives its record, what is to be deleted
# of its files, what is to be kept of its pictures, and a message to its webhook.
#
# ttl: how long the record is kept; afterwards: how much longer its id is known.
SHARED = (
    LINE
    + CLOCK
    + """
local function text(seconds) return string.format('%.6f', seconds) end
local function running(job)
  local state = redis.call('HGET', job, 'state')
  return state == 'LOADING' or state == 'PROGRESS'
end
local function held(job, token)
  return running(job) and redis.call('HGET', job, 'token') == token
end
local function cancelled(job) return redis.call('HGET', job, 'cancel') == '1' end

local function tell(id, event)
  local job = P .. 'job:' .. id
  local url = redis.call('HGET', job, 'webhook')
  if not url then return end
  local name = id .. '.' .. event
  local time = text(now())
  redis.call('HSET', P .. 'delivery:' .. name, 'url', url, 'job', id, 'event', event, 'at', time)
  for _, fact in ipairs({'kind', 'type', 'model', 'attempts', 'failure', 'result'}) do
    local value = redis.call('HGET', job, fact)
    if value then redis.call('HSET', P .. 'delivery:' .. name, fact, value) end
  end
  redis.call('ZADD', P .. 'deliveries', time, name)
end

local EVENTS = {SUCCESS = 'finished', FAILURE = 'failed', CANCELLED = 'cancelled'}

local function keep_pictures(id, names, bytes, kept)
  redis.call('ZADD', P .. 'pictures:' .. kept, text(now()), id)
  redis.call('HSET', P .. 'pictures:names', id, names)
  redis.call('HSET', P .. 'pictures:bytes', id, bytes)
  redis.call('INCRBY', P .. 'pictures:all', bytes)
end

local function hide_preview(id) redis.call('DEL', P .. 'preview:' .. id) end

local function finish(id, state, ttl, afterwards)
  local job = P .. 'job:' .. id
  redis.call('ZREM', P .. 'leases', id)
  hide_preview(id)
  redis.call('HINCRBY', P .. 'ended', state, 1)
  redis.call('HSET', job, 'state', state, 'finished', text(now()))
  redis.call('EXPIRE', job, ttl)
  local who, same, names, bytes, kept =
    unpack(redis.call('HMGET', job, 'submitter', 'same', 'names', 'bytes', 'kept'))
  redis.call('SET', P .. 'gone:' .. id, who, 'EX', ttl + afterwards)
  if same then redis.call('EXPIRE', same, ttl) end
  if names and state == 'SUCCESS' then
    keep_pictures(id, names, bytes, kept)
    names = false
  end
  redis.call('HSET', P .. 'remains', id, names or '[]')
  tell(id, EVENTS[state])
end

local function forget(id)
  local names = redis.call('HGET', P .. 'pictures:names', id)
  if names then
    redis.call('HSET', P .. 'remains', id, names)
    redis.call('DECRBY', P .. 'pictures:all', redis.call('HGET', P .. 'pictures:bytes', id))
    redis.call('HDEL', P .. 'pictures:names', id)
    redis.call('HDEL', P .. 'pictures:bytes', id)
    redis.call('ZREM', P .. 'pictures:saved', id)
    redis.call('ZREM', P .. 'pictures:transient', id)
  end
  redis.call('DEL', P .. 'job:' .. id)
  redis.call('LREM', P .. 'recent', 0, id)
end

local function wait_again(id)
  redis.call('ZREM', P .. 'leases', id)
  hide_preview(id)
  redis.call('HSET', P .. 'job:' .. id, 'state', 'PENDING', 'waiting', text(now()))
  enter_again(id)
end
"""
)

SHARED_FREE = _FREE + SHARED
"""The same for a step that is taken also when Redis' memory is full: a job that was accepted is
finished, cancelled or given up all the same. Only opening another is refused."""
