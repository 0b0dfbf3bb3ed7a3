-- Forgets that a piece of work is claimed or done.
--
-- KEYS   1 hash of the work
-- ARGV   1 now in milliseconds, "" for the server's clock
-- answer 1 it was known, 0 it was not

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local expires = redis.call('HGET', KEYS[1], 'expires_at')
redis.call('DEL', KEYS[1])
return (expires and tonumber(expires) > now) and 1 or 0
