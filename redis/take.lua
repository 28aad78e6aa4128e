--[[
Takes the best tasks of the lanes that can be served, in the exact order of (score, id) across them, and reserves them
under a token. A token that is known already gets what it holds, so a take whose answer was lost can be repeated.

First the lanes are merged as if every entry were good; then the records are read, block by block. Only when an entry
turns out stale (no record, or not queued) the merge is done again with a look at each record before it counts.
]]
--@include prelude
--@include order
--@include lanes
--@include caps
--@include records
--@include reservations
local OTHERS_MAX = 1000 -- other live reservations that are looked through for the tasks taken here
local TIES_MAX = 10000 -- heads of one score that are looked through for the place to go on from
local STALE_MAX = 5000 -- stale entries dropped in one call
local FREE_CAPS_MAX, FREE_SLICE = 100, 100 -- caps with places that are looked at, and lanes that each of them puts back
local token, max, urgent_max, lanes_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local after_lane, after_score, lasting = ARGV[5], ARGV[6], tonumber(ARGV[7])
local unknown_max, agents = tonumber(ARGV[8]), tonumber(ARGV[9])
local caps, requires = {}, {} -- by agent, and by `agent|r=requirements`
for at = 10, #ARGV, 2 do
  local bounds = at < 10 + 2 * agents and caps or requires
  bounds[ARGV[at]] = tonumber(ARGV[at + 1])
end
local unknown, told = {}, {} -- what lanes require that the caller did not name

local time = call('TIME')
local now = milliseconds(time)
local key = base .. 'taken:' .. token

-- Tasks are columns: `ids`, and at the same places `scores`, `lanes` and `metas`. Bodies go out as they were read, one
-- list per block.
local function answer(tasks, next_lane, next_score)
  local sub, ids = string.sub, tasks.ids
  local groups, blocks, bodies = {}, {}, {}
  for at = 1, #ids do
    local block, field = sub(ids[at], 1, BLOCK), sub(ids[at], BLOCK + 1)
    local fields = groups[block]
    if fields then
      local n = #fields
      fields[n + 1], fields[n + 2], fields[n + 3] = field, field .. 't', field .. 'i'
    else
      groups[block] = { field, field .. 't', field .. 'i' }
      blocks[#blocks + 1] = block
    end
  end
  for at = 1, #blocks do bodies[at] = call('HMGET', base .. 'b:' .. blocks[at], unpack(groups[blocks[at]])) end
  local columns = { time[1], time[2], ids, tasks.metas, tasks.scores, tasks.lanes, blocks, bodies }
  columns[9], columns[10], columns[11] = next_lane or false, next_score or false, unknown
  return columns
end

-- What the token holds, in order; what is no longer queued leaves the reservation.
local function standing()
  local held = call('HGETALL', key)
  local found, ids, gone = {}, {}, {}
  for at = 1, #held, 2 do
    local score, lane = string.match(held[at + 1], '^(%S+) (.*)$')
    found[#found + 1] = { id = held[at], score = score, lane = lane, number = tonumber(score) }
  end
  local tasks, gone_lanes, gone_metas = { ids = {}, scores = {}, lanes = {}, metas = {} }, {}, {}
  if #found == 0 then return tasks end
  table.sort(found, function(a, b)
    if a.number ~= b.number then return a.number < b.number end
    return before(a.id, b.id)
  end)
  for at, task in ipairs(found) do ids[at] = task.id end
  local metas = metas_of(ids)
  for at, task in ipairs(found) do
    if is_queued(metas[at]) then
      local n = #tasks.ids + 1
      tasks.ids[n], tasks.scores[n], tasks.lanes[n], tasks.metas[n] = task.id, task.score, task.lane, metas[at]
    else
      gone[#gone + 1] = task.id
      gone_lanes[#gone], gone_metas[#gone] = task.lane, metas[at]
    end
  end
  leave_caps_unless_active(gone, gone_lanes, gone_metas)
  send(gone, 1, #gone, 'HDEL', key)
  if #tasks.ids == 0 then call('ZREM', base .. 'takes', token) end
  return tasks
end

-- Where in `heads` the first lane behind (after_score, after_lane) stands.
local function start()
  if after_lane == '' then return 0 end
  local rank = call('ZRANK', base .. 'heads', after_lane)
  if rank and tonumber(call('ZSCORE', base .. 'heads', after_lane)) == tonumber(after_score) then return rank + 1 end
  rank = call('ZCOUNT', base .. 'heads', '-inf', '(' .. after_score)
  local ties = call('ZRANGEBYSCORE', base .. 'heads', after_score, after_score, 'LIMIT', 0, TIES_MAX)
  for _, lane in ipairs(ties) do
    if before(after_lane, lane) then break end
    rank = rank + 1
  end
  return rank
end

-- What the lane requires of a worker, as `agent|r=requirements`; nil when nothing.
local function demand_of(lane, agent)
  -- Behind the agent, because a tenant may well be called `r=`.
  local at = string.find(lane, '|r=', (string.find(lane, '|', 1, true) or 0) + 1, true)
  if at then return agent .. string.sub(lane, at) end
end

-- Whether the demand may be served; one that the caller does not know is told to it.
local function serves(demand)
  local bound = requires[demand]
  if not bound and not told[demand] and #unknown < unknown_max then
    told[demand] = true
    unknown[#unknown + 1] = demand
  end
  return (bound or 0) > 0
end

-- The lanes that may be served, in order of their heads; and the place to go on from, if there are more.
local function open_lanes()
  local first = start()
  local heads = call('ZRANGE', base .. 'heads', first, first + lanes_max, 'WITHSCORES')
  local lanes = {}
  for at = 1, math.min(#heads, 2 * lanes_max), 2 do
    local lane = heads[at]
    local agent, urgent = agent_of(lane), string.sub(lane, 1, 1) == '!'
    if (caps[agent] or 0) > 0 and (urgent_max > 0 or not urgent) then
      local demand = demand_of(lane, agent)
      if not demand or serves(demand) then
        local score = heads[at + 1]
        local opened = { name = lane, agent = agent, urgent = urgent, first = tonumber(score), entries = {}, read = 0 }
        opened.demand = demand
        opened.bounds = bounds_of(lane)
        lanes[#lanes + 1] = opened
      end
    end
  end
  if #heads > 2 * lanes_max and lanes_max > 0 then return lanes, heads[2 * lanes_max - 1], heads[2 * lanes_max] end
  return lanes
end

-- Reads on in the lane when needed: false when it has nothing more at `at` (1 = its first task).
local function fill(lane, at, count)
  local entries = lane.entries
  if entries[2 * at] then return true end
  if lane.ended then return false end
  local more = call('ZRANGE', base .. 'lane:' .. lane.name, lane.read, lane.read + count - 1, 'WITHSCORES')
  local n = #entries
  for i = 1, #more do entries[n + i] = more[i] end
  lane.read = lane.read + #more / 2
  lane.ended = #more < 2 * count
  return #more > 0
end

-- A lane that was not looked into yet goes first among equals: it is read when its turn comes.
local function comes_before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return before(a.id, b.id)
end

local function sift(heap, at)
  local size, lane = #heap, heap[at]
  while true do
    local child = 2 * at
    if child > size then break end
    if child < size and comes_before(heap[child + 1], heap[child]) then child = child + 1 end
    if not comes_before(heap[child], lane) then break end
    heap[at] = heap[child]
    at = child
  end
  heap[at] = lane
end

local function drop_first(heap)
  heap[1] = heap[#heap]
  heap[#heap] = nil
  if #heap > 0 then sift(heap, 1) end
end

local rooms = {} -- places of caps when this take began

local function has_place(bounds, of_cap)
  for at = 1, #bounds do
    local cap = bounds[at]
    local room = rooms[cap] or room_of(cap)
    rooms[cap] = room
    if (of_cap[cap] or 0) >= room then return false end
  end
  return true
end

-- One merge. `good(id)` says whether an entry counts; each lane remembers how many of its entries it used up.
local function merge(lanes, good)
  local ids, scores, names, n = {}, {}, {}, 0
  local of_agent, of_demand, urgent, stale = {}, {}, 0, 0
  local heap, of_cap = {}, {}
  for at, lane in ipairs(lanes) do
    lane.used, lane.score, lane.id = 0, lane.first, ''
    heap[at] = lane -- in order of score, hence a heap
  end
  local count = #lanes == 1 and max or math.min(max, math.max(16, math.ceil(2 * max / math.max(1, #lanes))))
  while n < max and #heap > 0 and stale < STALE_MAX do
    local lane = heap[1]
    local agent, demand = lane.agent, lane.demand
    local served = (of_agent[agent] or 0) < caps[agent] and (urgent < urgent_max or not lane.urgent)
    if demand and served then served = (of_demand[demand] or 0) < requires[demand] end
    if served and lane.bounds then served = has_place(lane.bounds, of_cap) end
    if not served or not fill(lane, lane.used + 1, count) then
      drop_first(heap)
    else
      local entries, at = lane.entries, lane.used
      local id, score = entries[2 * at + 1], entries[2 * at + 2]
      if lane.id == '' then
        lane.id, lane.score = id, tonumber(score)
        if #heap > 1 then sift(heap, 1) end
      else
        lane.used = at + 1
        if good(id) then
          n = n + 1
          ids[n], scores[n], names[n] = id, score, lane.name
          of_agent[agent] = (of_agent[agent] or 0) + 1
          if demand then of_demand[demand] = (of_demand[demand] or 0) + 1 end
          if lane.urgent then urgent = urgent + 1 end
          for _, cap in ipairs(lane.bounds or {}) do of_cap[cap] = (of_cap[cap] or 0) + 1 end
        else
          stale = stale + 1
        end
        if fill(lane, at + 2, count) then
          lane.id, lane.score = entries[2 * at + 3], tonumber(entries[2 * at + 4])
          if #heap > 1 then sift(heap, 1) end
        else
          drop_first(heap)
        end
      end
    end
  end
  return { ids = ids, scores = scores, lanes = names }
end

local function select(lanes)
  local tasks = merge(lanes, function() return true end)
  local metas, known, stale = metas_of(tasks.ids), {}, false
  tasks.metas = metas
  for at = 1, #tasks.ids do
    if not is_queued(metas[at]) then stale = true end
  end
  if not stale then return tasks end
  for at, id in ipairs(tasks.ids) do known[id] = metas[at] end
  tasks = merge(lanes, function(id)
    if known[id] == nil then known[id] = metas_of({ id })[1] end
    return is_queued(known[id])
  end)
  tasks.metas = {}
  for at, id in ipairs(tasks.ids) do tasks.metas[at] = known[id] end
  return tasks
end

-- A task that was taken before, ended, and was queued anew leaves the reservation it still stands in. One that was
-- never written since its creation cannot stand in any.
local function leave_others(tasks)
  local ids = {}
  for at, id in ipairs(tasks.ids) do
    if string.sub(tasks.metas[at], 1, 2) ~= '1 ' then ids[#ids + 1] = id end
  end
  if #ids == 0 then return end
  for _, other in ipairs(call('ZRANGE', base .. 'takes', 0, OTHERS_MAX - 1)) do
    local place = base .. 'taken:' .. other
    if call('HDEL', place, unpack(ids)) > 0 and call('EXISTS', place) == 0 then call('ZREM', base .. 'takes', other) end
  end
end

local function reserve(tasks)
  local held = {}
  for at, id in ipairs(tasks.ids) do
    held[2 * at - 1], held[2 * at] = id, tasks.scores[at] .. ' ' .. tasks.lanes[at]
  end
  send(held, 1, #held, 'HSET', key)
  call('ZADD', base .. 'takes', now + lasting, token)
end

-- Lanes that were looked at and have no place left wait at the first cap that is full.
local function let_full_wait(lanes, touched)
  local full = {}
  for _, lane in ipairs(lanes) do
    for _, cap in ipairs(lane.bounds or {}) do
      if full[cap] == nil then full[cap] = room_of(cap) <= 0 end
      if full[cap] then
        let_wait(lane.name, cap)
        touched[lane.name] = true
        break
      end
    end
  end
end

local function caps_with_places()
  local caps = {}
  for _, cap in ipairs(call('ZRANGE', base .. 'capfree', 0, FREE_CAPS_MAX - 1)) do caps[cap] = true end
  return caps
end

expire_reservations(now)
local held = standing()
if #held.ids > 0 then
  reserve(held)
  if release_places(freed) then wake('q', '1') end
  return answer(held)
end

local lanes, next_lane, next_score = open_lanes()
local picked = select(lanes)
local touched = {}
for _, lane in ipairs(lanes) do
  if lane.used > 0 then call('ZREMRANGEBYRANK', base .. 'lane:' .. lane.name, 0, lane.used - 1) end
  -- A head without a lane should not be; settling removes it.
  if lane.used > 0 or (lane.ended and lane.read == 0) then touched[lane.name] = true end
end
if #picked.ids > 0 then
  leave_others(picked)
  reserve(picked)
  enter_caps(picked.ids, picked.lanes)
end
let_full_wait(lanes, touched)
settle(touched)
local back = release_places(freed)
if #picked.ids < max then back = release_places(caps_with_places(), FREE_SLICE) or back end
if back then wake('q', '1') end
if #picked.ids >= max then next_lane, next_score = nil, nil end
return answer(picked, next_lane, next_score)
