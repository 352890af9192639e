"""The Lua functions that the scripts of records, claims and their like share.

A script names its keys itself (`jobs.keys`), so it works on one server, not on a Redis cluster.
All times are those of Redis' clock, in seconds.
"""

from jobs.records.fair_queue import FAIR_QUEUE
from jobs.records.key_budget import KEY_BUDGET
from jobs.records.postponed import POSTPONED_JOBS
from jobs.records.record_fields import DAMAGED

_FLAGS = "#!lua flags=allow-oom\n"
CLOCK = """
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end
"""

# The script that ends a job also writes, in the same atomic step: a tombstone that outlives the
# record, which of its files to delete, which of its pictures to keep, and a message to its webhook.
#
# A job's messages expire with its record; if no sender takes them, the ends of later jobs remove
# their names.
#
# ttl: seconds until the record expires; tombstone_ttl: further seconds until its tombstone does.
SHARED = (
    FAIR_QUEUE
    + POSTPONED_JOBS
    + KEY_BUDGET
    + CLOCK
    + f"local DAMAGED = '{DAMAGED.model_dump_json()}'\n"
    + """
local function text(seconds) return string.format('%.6f', seconds) end
local function running(job)
  local state = redis.call('HGET', job, 'state')
  return state == 'LOADING' or state == 'PROGRESS'
end
-- The owner counts as well: a Redis that has lost its last second gives out one token twice.
local function held(job, token, owner)
  local its_token, its_owner = unpack(redis.call('HMGET', job, 'token', 'owner'))
  return running(job) and its_token == token and its_owner == owner
end
local function version(job) return tonumber(redis.call('HGET', job, 'version')) or 1 end
local function cancelled(job) return redis.call('HGET', job, 'cancel') == '1' end

local function send_webhook(id, event, ttl)
  local job = JOB .. id
  local url = redis.call('HGET', job, 'webhook')
  if not url then return end
  local name = id .. '.' .. event
  local time = text(now())
  redis.call('HSET', DELIVERY .. name, 'url', url, 'job', id, 'event', event, 'at', time)
  for _, field in ipairs({'submitter', 'kind', 'type', 'model', 'attempts', 'failure', 'result'}) do
    local value = redis.call('HGET', job, field)
    if value then redis.call('HSET', DELIVERY .. name, field, value) end
  end
  redis.call('ZADD', DELIVERIES, time, name)
  if not ttl then return end
  redis.call('EXPIRE', DELIVERY .. name, ttl)
  redis.call('EXPIRE', DELIVERY .. id .. '.started', ttl)
  redis.call('ZREMRANGEBYSCORE', DELIVERIES, '-inf', text(now() - ttl))
end

local EVENTS = {SUCCESS = 'finished', FAILURE = 'failed', CANCELLED = 'cancelled'}

local function keep_pictures(id, names, bytes, kept)
  redis.call('ZADD', PICTURES .. kept, text(now()), id)
  redis.call('HSET', PICTURE_NAMES, id, names)
  redis.call('HSET', PICTURE_BYTES, id, bytes)
  redis.call('INCRBY', PICTURE_BYTES_TOTAL, bytes)
end

local function delete_preview(id) redis.call('DEL', PREVIEW .. id) end

-- A record keeps what its status needs: of a long request only the shortened one.
local function shorten(job)
  local ended_request = redis.call('HGET', job, 'ended_request')
  if ended_request then redis.call('HSET', job, 'request', ended_request) end
  redis.call('HDEL', job, 'ended_request', 'webhook')
end

-- Also ends a record of which fields were lost.
local function finish(id, state, ttl, tombstone_ttl)
  local job = JOB .. id
  redis.call('ZREM', LEASES, id)
  delete_preview(id)
  redis.call('HINCRBY', ENDED, state, 1)
  redis.call('HSET', job, 'state', state, 'finished', text(now()))
  redis.call('EXPIRE', job, ttl)
  local submitter, idempotency, names, bytes, kept =
    unpack(redis.call('HMGET', job, 'submitter', 'idempotency', 'names', 'bytes', 'kept'))
  submitter = submitter or ''
  redis.call('SET', TOMBSTONE .. id, submitter, 'EX', ttl + tombstone_ttl)
  if idempotency then redis.call('EXPIRE', idempotency, ttl) end
  if names and state == 'SUCCESS' then
    keep_pictures(id, names, math.floor(tonumber(bytes) or 0), kept or SAVED)
    names = false
  end
  redis.call('HSET', DELETIONS, id, names or '[]')
  send_webhook(id, EVENTS[state], ttl)
  shorten(job)
  count_ended(id, submitter, ttl + tombstone_ttl)
end

-- End a job that a script cannot go on with, so that it does not keep the script from the others.
local function end_damaged(id, ttl, tombstone_ttl)
  redis.call('ZREM', LEASES, id)
  local job = JOB .. id
  redis.pcall('HSET', job, 'failure', DAMAGED)
  return pcall(finish, id, 'FAILURE', ttl, tombstone_ttl) and 'FAILURE' or nil
end

local function delete_record(id)
  local names = redis.call('HGET', PICTURE_NAMES, id)
  if names then
    local bytes = math.floor(tonumber(redis.call('HGET', PICTURE_BYTES, id)) or 0)
    redis.call('HSET', DELETIONS, id, names)
    redis.call('DECRBY', PICTURE_BYTES_TOTAL, bytes)
  end
  redis.call('HDEL', PICTURE_NAMES, id)
  redis.call('HDEL', PICTURE_BYTES, id)
  redis.call('ZREM', PICTURES .. SAVED, id)
  redis.call('ZREM', PICTURES .. TRANSIENT, id)
  redis.call('LREM', RECENT, 0, id)
  redis.call('LREM', RECENT_OF .. (redis.call('HGET', JOB .. id, 'submitter') or ''), 0, id)
  forget(id)
end

-- Let a running job wait again; it must then be put into the queue or be postponed.
local function take_from_worker(id)
  redis.call('ZREM', LEASES, id)
  delete_preview(id)
  redis.call('HSET', JOB .. id, 'state', 'PENDING', 'waiting', text(now()))
end
local function return_to_queue(id)
  take_from_worker(id)
  requeue(id)
end
"""
)

SHARED_ALLOW_OOM = _FLAGS + SHARED
"""The same for a script that must also run when Redis' memory is full: only opening a job is
refused then; a job that was accepted can be executed, cancelled and cleaned up all the same."""
