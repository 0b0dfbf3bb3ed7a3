-- Ends reservations of one queue in any way but plain deletion, each only if it is still ours.
--
-- KEYS   1 ready list, 2 delayed set, 3 reserved set, 4 failed list
-- ARGV   1 now as unix second, "" for the server's clock; then for each item four: how, reserved member, first, second:
--          release  seconds from now, ""
--          back     original body, ""
--          bury     failed record up to its time, failed record behind its time
--          leave    "", ""
-- answer one character an item, in order: "1" done, "0" the reservation was no longer ours
--
-- A write that may be refused always comes before the removal it belongs to, so a refusal loses nothing.

local ready, delayed, reserved, failed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])
local WIDTH = 4

local settle = {
  release = function(member, seconds)
    redis.call('ZADD', delayed, string.format('%.0f', now + tonumber(seconds)), member)
    redis.call('ZREM', reserved, member)
  end,
  back = function(member, body)
    redis.call('LPUSH', ready, body)
    redis.call('ZREM', reserved, member)
  end,
  bury = function(member, before, behind)
    redis.call('LPUSH', failed, before .. string.format('%.0f', now) .. behind)
    redis.call('ZREM', reserved, member)
  end,
  leave = function() end,
}

local done = {}
local function settle_item(item)
  local how, member, first, second = unpack(ARGV, 2 + (item - 1) * WIDTH, 1 + item * WIDTH)
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
for item = (#ARGV - 1) / WIDTH, 1, -1 do
  settle_item(item)
end
return table.concat(done)
