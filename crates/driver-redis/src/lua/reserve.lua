-- Reserves jobs of one queue: due and expired ones are made ready first, then a batch moves from ready to reserved.
--
-- KEYS   1 ready list, 2 delayed set, 3 reserved set; of a caller that waited for jobs also 4 the list of handovers, 5 the time of the
--        last one, as in crates/driver-redis/src/handover.rs
-- ARGV   1 now as unix second, "" for the server's clock; 2 seconds a lease lasts, "" for ever; 3 most jobs to take;
--        4 when attempts rise: "reserve" (v3), or "return" (v1 and v2), where an expired reservation is raised on its way back;
--        5 the end of the list where the next job lies: "left", or "right" (plain tasks); 6 the key of the tries in a payload, in quotes;
--        7 the second of which the caller knows that all that was due is ready, or ""; 8 with KEYS 4 and 5, whether the caller is a
--        "watcher" or on "standby"; without them "ahead" of a caller that still runs jobs: none that stands alone is reserved for it
-- answer { the server's second, its microseconds, the name of a handover or "", 1 when all that is due in this second is ready else 0,
--          then for each job: body as it was ready, 0-based offset of its attempts digits or -1, attempts in the member of the reserved
--          set }; or, where each of them is a body that ended in `"attempts":0}`, one list of the bodies in place of all that
--
-- A write that may be refused always comes before the removal it belongs to, so a refusal loses nothing.

-- Asked for once: the loop below runs for every job.
local sub, find, match, byte_at, call = string.sub, string.find, string.match, string.byte, redis.call

local ready, delayed, reserved = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = tonumber(ARGV[1]) or tonumber(time[1])
local retry_after = tonumber(ARGV[2])
local max = tonumber(ARGV[3])
local raised_by_return = ARGV[4] == 'return'
local from_right = ARGV[5] == 'right'
local tries_key = ARGV[6]
local ahead = ARGV[8] == 'ahead'
local push_head, push_tail = 'LPUSH', 'RPUSH'
if from_right then push_head, push_tail = 'RPUSH', 'LPUSH' end

local MIGRATE = 500              -- most jobs made ready per set and call,
local MIGRATE_BYTES = 128 * 1024 -- and about so many bytes of them
local LOOK_FURTHER = 1000        -- most jobs looked at behind ones that had to be skipped,
local PAGE = 64                  -- and how many at a time

local all_due_ready = time[1] == ARGV[7]
local answer = { tonumber(time[1]), tonumber(time[2]), '', 1 }
local lease_ends = string.format('%d', now + (retry_after or 0)) -- as text: the server writes a number slowly, for every job
local head, taken

-- A handover is named by its time in microseconds. Where the server refuses a part of it (rights, a key of another type) there is none.
local here = time[1] * 1000000 + time[2]
local RECENT = 1000000   -- so old is a handover at most that tells a watcher of another one
local WATCHED_FOR = 3000 -- milliseconds for which a look of a watcher shows that there is one

-- The watcher leaves to run its jobs: one on standby takes over, and two while jobs are left.
local function hand_over(list, last)
  local name = string.format('%.0f', here)
  if type(redis.pcall('ZADD', last, name, 'handover')) ~= 'number' then return '' end
  local length = type(redis.pcall('PEXPIRE', last, WATCHED_FOR)) == 'number' and redis.pcall('RPUSH', list, name)
  if type(length) ~= 'number' then
    redis.pcall('DEL', last)
    return ''
  end
  if length > 1 then call('LTRIM', list, -1, -1) end -- nobody took the one before
  if (taken < #head or #head == max) and call('LLEN', ready) > 0 then call('RPUSH', list, name) end
  call('PEXPIRE', list, WATCHED_FOR)
  return name
end

local function last_handover(last, oldest)
  local at = redis.pcall('ZSCORE', last, 'handover')
  at = type(at) == 'string' and tonumber(at)
  return at and at > oldest and string.format('%.0f', at) or ''
end

-- The answer, when `taken` jobs are in it.
local function finished()
  if ARGV[8] == 'watcher' and taken > 0 then
    answer[3] = hand_over(KEYS[4], KEYS[5])
  elseif ARGV[8] == 'watcher' then
    redis.pcall('PEXPIRE', KEYS[5], WATCHED_FOR)
    answer[3] = last_handover(KEYS[5], here - RECENT)
  elseif ARGV[8] == 'standby' then
    answer[3] = last_handover(KEYS[5], 0)
  end
  return answer
end

local function none_due(set)
  return #call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, 1) == 0
end
all_due_ready = all_due_ready or none_due(delayed) and (not retry_after or none_due(reserved))

-- The usual case of one job at a time: it lies there alone or is asked for alone, was never tried, and has no copy that is reserved. Before
-- all that follows, which costs as much as this even where it is not called.
if all_due_ready and not ahead and not raised_by_return and not from_right then
  head = call('LRANGE', ready, 0, max - 1)
  local body = #head == 1 and head[1]
  if body and sub(body, -14) == ',"attempts":0}'
    and redis.pcall('ZADD', reserved, 'NX', lease_ends, sub(body, 1, -3) .. '1}') == 1 then
    call('LTRIM', ready, 1, -1)
    taken = 1
    answer[5], answer[6], answer[7] = body, #body - 2, 1
    return finished()
  end
end

-- A server at its memory limit refuses the first write of a script if it might need memory, and then no other. Taking a
-- job moves bytes and adds none, so it begins with a write that is never refused for memory: workers can drain a full server.
local writing = false
local function begin_writing()
  if not writing then
    call('ZREMRANGEBYRANK', reserved, 1, 0) -- an empty range
    writing = true
  end
end

-- Attempts: the same rules as crates/core/src/payload/attempts.rs, case by case fixtures/attempts.json.
-- `at_the_tail` and `scan` answer the 1-based index of the first digit and the digits, or nil.

local function plain(digits)
  return #digits >= 1 and #digits <= 9 and (digits == '0' or byte_at(digits) ~= 48)
end

-- What think-queue writes, as the very last bytes, and what plain tasks have there.
local TASK_TAIL = ',"attempts":([0-9]+)(,"max_attempts":[0-9]+,"delay":[0-9]+,"created_at":[0-9]+})$'
local function at_the_tail(body)
  local digits, behind = match(sub(body, -22), ',"attempts":([0-9]+)(})$')
  if not digits and from_right then
    digits, behind = match(sub(body, -120), TASK_TAIL)
  end
  if digits and plain(digits) then
    return #body - #behind - #digits + 1, digits
  end
end

local function end_of_string(body, open)
  local at = open + 1
  while true do
    at = find(body, '[\\"]', at)
    if not at then return nil end
    if byte_at(body, at) == 34 then return at end
    at = at + 2
    if at > #body then return nil end
  end
end

-- Walks the whole text; of several top-level counts the last one stands.
local function scan(body)
  local depth, at = 0, 1
  local found, found_digits
  while true do
    at = find(body, '[{}%[%]"]', at)
    if not at then return found, found_digits end
    local byte = byte_at(body, at)
    if byte == 123 or byte == 91 then
      depth = depth + 1
    elseif byte == 125 or byte == 93 then
      depth = math.max(depth - 1, 0)
    else
      local last = end_of_string(body, at)
      if not last then return nil end
      if depth == 1 and sub(body, at, last) == '"attempts"' then
        local _, before = find(body, '^[ \t\r\n]*:[ \t\r\n]*', last + 1)
        if before then
          local first = before + 1
          local digits = match(body, '^([0-9]*)[ \t\r\n]*[,}]', first) or match(body, '^([0-9]*)%.0+[ \t\r\n]*[,}]', first)
          if not digits then -- in quotes; they stay, as the zeros of a fraction do
            first, digits = first + 1, match(body, '^"([0-9]*)"[ \t\r\n]*[,}]', first)
          end
          if digits and plain(digits) then
            found, found_digits = first, digits
          else
            found, found_digits = nil, nil
          end
        end
      end
      at = last
    end
    at = at + 1
  end
end

-- Answers the 0-based offset of the digits, attempts after raising and the raised body; without a plain count -1, 0 and the
-- body as it is.
local function raise(body)
  if sub(body, -14) == ',"attempts":0}' then -- nearly every job, and the quickest to see
    return #body - 2, 1, sub(body, 1, -3) .. '1}'
  end
  local at, digits = at_the_tail(body)
  if not at then at, digits = scan(body) end
  if not at then return -1, 0, body end
  local attempts = tonumber(digits) + 1
  return at - 1, attempts, sub(body, 1, at - 1) .. string.format('%d', attempts) .. sub(body, at + #digits)
end

-- The same answer for a body that is reserved as it is: where the digits stand and what they say.
local function count(body)
  local at, digits = at_the_tail(body)
  if not at then at, digits = scan(body) end
  if not at then return -1, 0, body end
  return at - 1, tonumber(digits), body
end

-- Whether the payload allows one try only, by its text: the same rule as crates/core/src/batch.rs.
--
-- The search stops wherever the first byte is that of the text, and payloads are full of quotes: so it is for the text from its x on.
local RARE = 4 -- the x in "maxTries" and "max_attempts"
local rare_key = sub(tries_key, RARE)
local function says_one_try(body)
  local at = 1
  while true do
    local first, last = find(body, rare_key, at, true)
    if not first then return false end
    -- `:null`, as nearly every payload has it, needs no pattern.
    local one = byte_at(body, last + 2) ~= 110 and sub(body, first - RARE + 1, last) == tries_key
      and select(2, find(body, '^[ \t\r\n\f":]*1[ \t\r\n\f"]*', last + 1))
    if one then
      local behind = sub(body, one + 1, one + 1)
      if behind == '' or behind == ',' or behind == '}' then return true end
    end
    at = last + 1
  end
end

-- Beside a long ready list as many as are taken from it: more would lie before the jobs that are pushed meanwhile. In steps that double
-- while the bodies so far leave room, because nobody knows beforehand how long they are, and the server does nothing else meanwhile.
-- Answers whether none is left.
local function make_ready(set, raising)
  local moved, bytes, step, most = 0, 0, math.min(4, max), MIGRATE
  while moved < most and bytes < MIGRATE_BYTES do
    local wanted = math.min(step, most - moved)
    if moved > 0 then wanted = math.min(wanted, math.ceil((MIGRATE_BYTES - bytes) * moved / bytes)) end
    local due = call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, wanted)
    if #due == 0 then return true end
    for index = 1, #due do
      bytes = bytes + #due[index]
      if raising then due[index] = select(3, raise(due[index])) end
    end
    begin_writing()
    call(push_tail, ready, unpack(due))
    call('ZREMRANGEBYRANK', set, 0, #due - 1)
    if #due < wanted then return true end
    if moved == 0 and call('LLEN', ready) >= MIGRATE then most = math.min(max, MIGRATE) end
    moved, step = moved + #due, step * 2
  end
  return false
end

-- So many bodies of the ready list, behind `skip` at its head, next first.
local function page(skip, count)
  if not from_right then return call('LRANGE', ready, skip, skip + count - 1) end
  local bodies = call('LRANGE', ready, -skip - count, -skip - 1)
  local last = #bodies
  for index = 1, math.floor(last / 2) do
    bodies[index], bodies[last + 1 - index] = bodies[last + 1 - index], bodies[index]
  end
  return bodies
end

-- Removes so many from the head.
local function trim(count)
  if from_right then call('LTRIM', ready, 0, -count - 1) else call('LTRIM', ready, count, -1) end
end

local to_member = raised_by_return and count or raise
local looked_at, skipped = 0, {}
taken = 0

-- Reserves jobs from `bodies`, which lie at the head of ready. True when the batch ends here.
local function take(bodies)
  for index = 1, #bodies do
    local body = bodies[index]
    local offset, attempts, member = to_member(body)
    -- Either way a member that was never tried before says 1. Of v3's payloads in a queue of v1 it says 0.
    local alone = offset < 0 or attempts > 1 or says_one_try(body)
    if alone and (ahead or taken > 0) then return true end

    looked_at = looked_at + 1
    if call('ZADD', reserved, 'NX', lease_ends, member) == 1 then
      taken = taken + 1
      answer[#answer + 1] = body
      answer[#answer + 1] = offset
      answer[#answer + 1] = attempts
      if alone or taken == max then return true end
    else
      -- The same bytes are reserved already: a second ZADD would make one job of two. This one waits its turn.
      skipped[#skipped + 1] = body
    end
  end
  return false
end

-- Reserves all of `bodies` with three commands, or none: the usual case, in which none was tried before, none says one try, and none
-- has the bytes of another one. Answers whether it did.
local function take_all(bodies)
  -- unpack() has a limit; and one job alone takes fewer commands below
  if raised_by_return or #bodies > 1000 or #bodies == 1 then return false end
  local members, scored = {}, {}
  for index = 1, #bodies do
    local body = bodies[index]
    if sub(body, -14) ~= ',"attempts":0}' or says_one_try(body) then return false end
    local member = sub(body, 1, -3) .. '1}'
    members[index], scored[2 * index - 1], scored[2 * index] = member, lease_ends, member
  end
  local known = redis.pcall('ZMSCORE', reserved, unpack(members))
  if known.err then return false end -- a server before 6.2
  for index = 1, #bodies do
    if known[index] then return false end
  end
  if call('ZADD', reserved, 'NX', unpack(scored)) < #bodies then
    call('ZREM', reserved, unpack(members)) -- two of them have the same bytes
    return false
  end
  answer[5] = bodies
  taken, looked_at = #bodies, #bodies
  return true
end

if not all_due_ready then
  local none_left = make_ready(delayed, false)
  if retry_after then none_left = make_ready(reserved, raised_by_return) and none_left end
  answer[4] = none_left and 1 or 0
end

head = head or page(0, max)
if #head > 0 then
  begin_writing()
  local ended = take_all(head) or take(head)
  while not ended and #skipped > 0 and looked_at < max + LOOK_FURTHER do
    local more = page(looked_at, PAGE)
    if #more == 0 then break end
    ended = take(more)
  end
end

if taken == 0 and #skipped >= max + LOOK_FURTHER then
  -- So many copies of reserved jobs would keep all others back for ever: they go to the tail, a page at a time.
  for first = 1, #skipped, PAGE do
    call(push_tail, ready, unpack(skipped, first, math.min(first + PAGE - 1, #skipped)))
  end
  trim(#skipped)
elseif taken > 0 then
  trim(looked_at)
  for index = #skipped, 1, -1 do
    call(push_head, ready, skipped[index])
  end
end

return finished()
