-- Updates statuses of jobs, each if the update is later than what is known.
--
-- KEYS   for each update the hash of its status; the same one may come several times
-- ARGV   1 now in milliseconds, "" for the server's clock; then each update as a JSON array: precondition (new, untouched, again,
--        later, during, end), the attempt it is about, seconds until the status expires, whether it removes the status, names
--        of fields that get the present time, names of fields that are removed, names and values of the others
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

local written = 0
for index = 1, #KEYS do
  local key = KEYS[index]
  local rule, attempts, ttl, removes, stamped, dropped, fields = unpack(cjson.decode(ARGV[index + 1]))
  local state, last, queued = known(key, rule)
  if admits[rule](state, last, attempts) then
    written = written + 1
    if removes then
      redis.call('DEL', key)
    else
      -- What was never attempted has no fields to remove.
      if state and last > 0 and #dropped > 0 then
        redis.call('HDEL', key, unpack(dropped))
      end
      local count = #fields
      fields[count + 1], fields[count + 2] = 'updated_at', text
      for _, name in ipairs(stamped) do
        fields[#fields + 1] = name
        fields[#fields + 1] = text
      end
      if not own_clock then
        fields[#fields + 1] = 'expires_at'
        fields[#fields + 1] = string.format('%.0f', now + ttl * 1000)
      end
      if queued then
        fields[#fields + 1] = 'queued_at'
        fields[#fields + 1] = queued
      end
      redis.call('HSET', key, unpack(fields))
      redis.call('PEXPIRE', key, string.format('%.0f', ttl * 1000))
    end
  end
end
return written
