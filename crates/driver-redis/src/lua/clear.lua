-- Removes every job of one queue. Failed jobs stay.
--
-- KEYS   1 ready list, 2 delayed set, 3 reserved set
-- ARGV   none
-- answer how many jobs were removed

local removed = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3])
-- UNLINK frees the memory of a long queue beside the server's work, not in it. Not every user who may DEL may UNLINK.
if type(redis.pcall('UNLINK', KEYS[1], KEYS[2], KEYS[3])) ~= 'number' then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
end
return removed
