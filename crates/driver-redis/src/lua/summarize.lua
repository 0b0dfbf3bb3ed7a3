-- Replaces the log of a status by a shorter one, unless somebody appended to it meanwhile.
--
-- KEYS   1 the log
-- ARGV   1 the log as it was read, 2 what replaces it, "" to remove it, 3 milliseconds until it expires
-- answer 1 if it was replaced, else 0

local key, read, summary, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', key) ~= read then
  return 0
end
if summary == '' then
  redis.call('DEL', key)
else
  redis.call('SET', key, summary, 'PX', ttl)
end
return 1
