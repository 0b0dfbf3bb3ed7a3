-- Ends reservations of one queue in any way but deletion, each only if it is still ours.
--
-- KEYS   1 ready list, 2 delayed set, 3 reserved set, 4 failed list
-- ARGV   1 now as unix second, "" for the server's clock; 2 seconds a lease lasts, "" for ever; 3 the end of the ready list where the
--        next job lies: "left", or "right" (plain tasks); then for each item four: how, reserved member, first, second:
--          release  seconds from now, body that comes back, "" for the member itself
--          back     original body, ""
--          bury     failed record up to its time, failed record behind its time
--          park     failed record, ""
--          leave    "", ""
-- answer one character an item, in order: "1" done, "0" the reservation was no longer ours
--
-- A write that may be refused always comes before the removal it belongs to, so a refusal loses nothing.

local ready, delayed, reserved, failed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])
local retry_after = tonumber(ARGV[2])
local LEADING, WIDTH = 3, 4
local push_head, push_tail = 'LPUSH', 'RPUSH'
if ARGV[3] == 'right' then push_head, push_tail = 'RPUSH', 'LPUSH' end

local settle = {
  release = function(member, seconds, body)
    if body == '' then body = member end
    local due = string.format('%.0f', now + tonumber(seconds))
    if redis.call('ZADD', delayed, 'NX', due, body) == 1 then
      redis.call('ZREM', reserved, member)
    elseif retry_after then
      -- The same bytes are delayed already, and a set would make one job of two. Let the lease end when the delay does: that
      -- brings the job back in the same second with the same attempts.
      redis.call('ZADD', reserved, 'XX', due, member)
    else
      redis.call(push_tail, ready, body)
      redis.call('ZREM', reserved, member)
    end
  end,
  back = function(member, body)
    redis.call(push_head, ready, body)
    redis.call('ZREM', reserved, member)
  end,
  bury = function(member, before, behind)
    redis.call('LPUSH', failed, before .. string.format('%.0f', now) .. behind)
    redis.call('ZREM', reserved, member)
  end,
  park = function(member, record)
    redis.call('LPUSH', failed, record)
    redis.call('ZREM', reserved, member)
  end,
  leave = function() end,
}

local done = {}
local function settle_item(item)
  local how, member, first, second = unpack(ARGV, LEADING + 1 + (item - 1) * WIDTH, LEADING + item * WIDTH)
  if redis.call('ZSCORE', reserved, member) then
    settle[how](member, first, second)
    done[item] = 1
  else
    done[item] = 0
  end
end

-- See reserve.lua: begins with a write that a full server accepts, because settling moves jobs and adds none.
redis.call('ZREMRANGEBYRANK', reserved, 1, 0) -- an empty range

-- Each one that is given back goes to the head, so the last goes first.
for item = (#ARGV - LEADING) / WIDTH, 1, -1 do
  settle_item(item)
end
return table.concat(done)
