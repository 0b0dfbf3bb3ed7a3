-- Updates statuses of jobs, each if the update is later than what is known.
--
-- KEYS   for each update the hash of its status; the same one may come several times
-- ARGV   1 now in milliseconds, "" for the server's clock; then for each update: precondition: new, untouched, again, later,
--        during, end; the attempt it is about; seconds until the status expires; "1" removes the status; how many fields get the
--        present time, how many are removed, how many get a value; then the names of the first, those of the second, names and
--        values of the third
-- answer how many were written; the others came too late

local now = tonumber(ARGV[1])
local own_clock = not now
if own_clock then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local text = string.format('%.0f', now)

-- As Precondition::admits in crates/core/src/status/update.rs.
local admits = {
  new = function(state) return not state end,
  untouched = function(state, last) return state == 'queued' and last == 0 end,
  again = function(state) return not state or state == 'failed' or state == 'expired' end,
  later = function(state, last, attempts) return not state or attempts > last end,
  during = function(state, last, attempts) return state == 'running' and attempts == last end,
  ['end'] = function(state, last, attempts)
    return not state or attempts > last or (attempts == last and state == 'running')
  end,
}

-- State, attempts, and when it was queued unless that is written, of what is known and did not expire. By its own clock the server removes
-- that itself.
local function known(key, rule)
  if own_clock and rule == 'new' then
    return redis.call('EXISTS', key) == 1, 0
  end
  local state, last, queued_at, ttl, expires_at = unpack(redis.call('HMGET', key, 'state', 'attempts', 'queued_at', 'ttl', 'expires_at'))
  if state and not own_clock and (tonumber(expires_at or '') or 0) <= now then
    redis.call('DEL', key)
    state = false
  end
  local queued = nil
  if state and not queued_at and ttl then
    queued = string.format('%.0f', now + redis.call('PTTL', key) - ttl * 1000)
  end
  return state, tonumber(last or '') or 0, queued
end

local LEADING = 7 -- arguments of an update before its fields
local written, at = 0, 2
for index = 1, #KEYS do
  local key, rule, attempts, ttl = KEYS[index], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local stamped, dropped, set = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local removes, first = ARGV[at + 3] == '1', at + LEADING
  local state, last, queued = known(key, rule)
  if admits[rule](state, last, attempts) then
    written = written + 1
    if removes then
      redis.call('DEL', key)
    else
      -- What was never attempted has no fields to remove.
      if state and last > 0 and dropped > 0 then
        redis.call('HDEL', key, unpack(ARGV, first + stamped, first + stamped + dropped - 1))
      end
      local fields = { 'updated_at', text }
      if not own_clock then
        fields[3], fields[4] = 'expires_at', string.format('%.0f', now + ttl * 1000)
      end
      if queued then
        fields[#fields + 1] = 'queued_at'
        fields[#fields + 1] = queued
      end
      for field = first, first + stamped - 1 do
        fields[#fields + 1] = ARGV[field]
        fields[#fields + 1] = text
      end
      for field = first + stamped + dropped, first + stamped + dropped + 2 * set - 1 do
        fields[#fields + 1] = ARGV[field]
      end
      redis.call('HSET', key, unpack(fields))
      redis.call('PEXPIRE', key, string.format('%.0f', ttl * 1000))
    end
  end
  at = first + stamped + dropped + 2 * set
end
return written
