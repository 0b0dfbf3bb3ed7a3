-- Stores the report of a worker, and removes workers that have not reported for a while.
--
-- KEYS   1 sorted set of workers by the second they were seen, 2 hash of their reports
-- ARGV   1 now as unix second, "" for the server's clock; 2 seconds after which a worker is gone; 3 id; 4 report
-- answer 1

local now = tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
return 1
