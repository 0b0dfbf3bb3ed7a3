-- Releases a claim, if it is still ours and the work is not done.
--
-- KEYS   1 hash of the work
-- ARGV   1 now in milliseconds, "" for the server's clock; 2 token
-- answer 1 released, 0 it is not claimed by this token, or it is done
--
-- As ClaimRecord::may_release in crates/core/src/idempotency.rs.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local known = redis.call('HMGET', KEYS[1], 'token', 'done', 'expires_at')
if known[1] ~= ARGV[2] or known[2] == '1' or tonumber(known[3]) <= now then return 0 end
redis.call('DEL', KEYS[1])
return 1
