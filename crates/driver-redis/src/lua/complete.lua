-- Marks a piece of work as done, if it is claimed by this token.
--
-- KEYS   1 hash of the work
-- ARGV   1 now in milliseconds, "" for the server's clock; 2 token; 3 seconds that the outcome is kept; 4 "1" when there is a
--        result; 5 the result
-- answer 1 done, 0 it is not claimed by this token
--
-- As ClaimRecord::may_complete in crates/core/src/idempotency.rs.

local key, token, ttl = KEYS[1], ARGV[2], ARGV[3] * 1000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local known = redis.call('HMGET', key, 'token', 'expires_at')
if known[1] ~= token or tonumber(known[2]) <= now then return 0 end

redis.call('HSET', key, 'done', '1', 'expires_at', string.format('%.0f', now + ttl))
if ARGV[4] == '1' then redis.call('HSET', key, 'result', ARGV[5]) else redis.call('HDEL', key, 'result') end
redis.call('PEXPIRE', key, string.format('%.0f', ttl))
return 1
