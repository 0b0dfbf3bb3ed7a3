-- Claims a piece of work, unless it is done or claimed by another token.
--
-- KEYS   1 hash of the work
-- ARGV   1 now in milliseconds, "" for the server's clock; 2 token; 3 seconds that the work may take; 4 seconds that its outcome is
--        kept
-- answer { "yours" }, { "held", milliseconds until that claim expires } or { "done", result where one was kept }
--
-- As ClaimRecord::answer in crates/core/src/idempotency.rs.

local key, token, lease, ttl = KEYS[1], ARGV[2], ARGV[3] * 1000, ARGV[4] * 1000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local known = redis.call('HMGET', key, 'token', 'until', 'done', 'result', 'expires_at')
if known[1] and tonumber(known[5]) > now then
  if known[3] == '1' then return { 'done', known[4] } end
  local left = tonumber(known[2]) - now
  if known[1] ~= token and left > 0 then return { 'held', string.format('%.0f', left) } end
end

redis.call('DEL', key)
redis.call('HSET', key, 'token', token, 'until', string.format('%.0f', now + lease),
  'expires_at', string.format('%.0f', now + lease + ttl))
redis.call('PEXPIRE', key, string.format('%.0f', lease + ttl))
return { 'yours' }
