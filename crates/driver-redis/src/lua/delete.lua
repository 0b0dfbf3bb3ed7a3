-- Removes finished jobs of one queue.
--
-- KEYS   1 reserved set
-- ARGV   the reserved members
-- answer one character a member, in order: "1" removed, "0" it was no longer there

local done = {}
for index = 1, #ARGV do
  done[index] = redis.call('ZREM', KEYS[1], ARGV[index])
end
return table.concat(done)
