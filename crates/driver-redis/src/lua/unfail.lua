-- Removes failed jobs of one queue from the failed list: to make them ready again, or for good.
--
-- KEYS   1 failed list, 2 ready list
-- ARGV   1 "retry", "retry_left" (the ready list grows on its left: plain tasks) or "forget"; 2 and 3 how many older ones there were of the oldest and of the newest of these jobs; then for
--        each job two, the oldest first: its record in the failed list, the payload that becomes ready
-- answer one character a job, in order: "1" removed, "0" it is not there any more
--
-- The records are marked in place and removed together at the end: finding each from an end of the list would take
-- minutes in a long one. Whatever is refused on the way, all is put back: a job is never in both lists, nor in neither.

local failed, ready = KEYS[1], KEYS[2]
local oldest, newest = tonumber(ARGV[2]), tonumber(ARGV[3])
local push, pop = unpack(({ retry = { 'RPUSH', 'RPOP' }, retry_left = { 'LPUSH', 'LPOP' }, forget = {} })[ARGV[1]])
local LEADING, WIDTH = 3, 2
local MOVED = 200   -- so many older ones may have been removed since the jobs were read
local GONE = 'gone' -- no record looks like this: they are JSON objects

local undo = {}
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    for step = #undo, 1, -1 do
      redis.call(unpack(undo[step]))
    end
    error(answer.err)
  end
  return answer
end

-- See reserve.lua: begins with a write that a full server accepts, because this moves jobs and adds none.
try('LTRIM', failed, 0, -1) -- all of it stays

-- The indexes of each record: -1 is the oldest, because they go in at the head. Ours are all different; those of other programs that
-- write plain tasks may be equal.
local indexes_of = {}
local function look(from, to)
  local records = redis.call('LRANGE', failed, -1 - to, -1 - from)
  for index = 1, #records do
    local known = indexes_of[records[index]] or {}
    known[#known + 1] = -1 - from - (#records - index)
    indexes_of[records[index]] = known
  end
end

local jobs = (#ARGV - LEADING) / WIDTH
local function record_of(job)
  return ARGV[LEADING + job * WIDTH - 1]
end

local function all_seen()
  for job = 1, jobs do
    if not indexes_of[record_of(job)] then return false end
  end
  return true
end

look(oldest, newest)
if oldest > 0 and not all_seen() then
  look(math.max(oldest - MOVED, 0), oldest - 1)
end

local taken, done = 0, {}
local function take(index, record, payload)
  if push then
    try(push, ready, payload)
    undo[#undo + 1] = { pop, ready }
  end
  try('LSET', failed, index, GONE)
  undo[#undo + 1] = { 'LSET', failed, index, record }
  taken = taken + 1
end

for job = 1, jobs do
  local record = record_of(job)
  -- A job that is named twice is taken once.
  local index = indexes_of[record] and table.remove(indexes_of[record])
  if index then take(index, record, ARGV[LEADING + job * WIDTH]) end
  done[job] = index and 1 or 0
end
if taken > 0 then
  try('LREM', failed, -taken, GONE)
end
return table.concat(done)
