-- Stores delayed jobs of one queue, due by the server's clock.
--
-- KEYS   1 delayed set
-- ARGV   1 now as unix second, "" for the server's clock; then for each job: "+" and seconds from now, or "=" and a unix
--        second; its payload
-- answer how many jobs were given

local now = tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])
local members = {}

for index = 2, #ARGV, 2 do
  local due = tonumber(string.sub(ARGV[index], 2))
  if string.sub(ARGV[index], 1, 1) == '+' then due = now + due end
  members[#members + 1] = string.format('%.0f', due)
  members[#members + 1] = ARGV[index + 1]
end

redis.call('ZADD', KEYS[1], unpack(members))
return #members / 2
