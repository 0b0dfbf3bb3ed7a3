-- Renews leases of one queue from now.
--
-- KEYS   1 reserved set
-- ARGV   1 now as unix second, "" for the server's clock; 2 seconds a lease lasts, "" for ever (then it is only checked);
--        then the reserved members
-- answer one character a member, in order: "1" renewed, "0" the reservation is no longer ours

local reserved = KEYS[1]
local now = tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])
local retry_after = tonumber(ARGV[2])

-- See reserve.lua: begins with a write that a full server accepts, because a new score needs no memory.
redis.call('ZREMRANGEBYRANK', reserved, 1, 0) -- an empty range

local kept = {}
for index = 3, #ARGV do
  local member = ARGV[index]
  if redis.call('ZSCORE', reserved, member) then
    if retry_after then redis.call('ZADD', reserved, 'XX', now + retry_after, member) end
    kept[#kept + 1] = 1
  else
    kept[#kept + 1] = 0
  end
end
return table.concat(kept)
