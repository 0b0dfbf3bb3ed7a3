-- Updates the status of one job, if the update is later than what is known.
--
-- KEYS   1 hash of the status
-- ARGV   1 now in milliseconds, "" for the server's clock; 2 precondition: new, untouched, again, later, during, end;
--        3 the attempt it is about; 4 seconds until the status expires; 5 "1" removes the status; 6 how many fields get the
--        present time, 7 how many are removed; then the names of both, and names and values of the others
-- answer 1 written, 0 it came too late

local key, rule, attempts, ttl = KEYS[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local known = redis.call('HMGET', key, 'state', 'attempts', 'expires_at')
local state, last = known[1], tonumber(known[2] or '') or 0
if state and (tonumber(known[3] or '') or 0) <= now then
  redis.call('DEL', key)
  state = false
end

-- As Precondition::admits in crates/core/src/status/update.rs.
local admits = {
  new = function() return not state end,
  untouched = function() return state == 'queued' and last == 0 end,
  again = function() return not state or state == 'failed' or state == 'expired' end,
  later = function() return not state or attempts > last end,
  during = function() return state == 'running' and attempts == last end,
  ['end'] = function() return not state or attempts > last or (attempts == last and state == 'running') end,
}
if not admits[rule]() then return 0 end
if ARGV[5] == '1' then
  redis.call('DEL', key)
  return 1
end

local text = string.format('%.0f', now)
local LEADING = 7
local stamped, dropped = tonumber(ARGV[6]), tonumber(ARGV[7])
if dropped > 0 then
  redis.call('HDEL', key, unpack(ARGV, LEADING + stamped + 1, LEADING + stamped + dropped))
end
local fields = { 'updated_at', text, 'expires_at', string.format('%.0f', now + ttl * 1000) }
for index = LEADING + 1, LEADING + stamped do
  fields[#fields + 1] = ARGV[index]
  fields[#fields + 1] = text
end
for index = LEADING + stamped + dropped + 1, #ARGV do
  fields[#fields + 1] = ARGV[index]
end
redis.call('HSET', key, unpack(fields))
redis.call('PEXPIRE', key, string.format('%.0f', ttl * 1000))
return 1
