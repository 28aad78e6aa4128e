-- Caps: how many tasks of an agent (`a|agent`), a tenant (`t|tenant`) or a concurrency key (`k|agent|tenant|key`) may be
-- reserved, assigned or running at once. `cap:<cap>` is the set of those tasks, so there is no count to drift; `caps`
-- holds the limits. A lane whose cap is full waits in `capwait:<cap>` and is not looked at again. Whoever takes tasks
-- out of a cap puts as many of its best waiting lanes back into `heads` as there are places then.
--
-- A lane that was put back need not use the place: it may meet another full cap, or have no worker. So a cap that has
-- places while lanes still wait at it stands in `capfree`, and every take that finds too little goes through some of
-- those and puts more of their lanes back. Thus no place is lost, and no call moves more than a bounded number of lanes.
local KEY_LIMIT = 1 -- of a concurrency key whose agent names none
local RELEASED_MAX = 1000 -- lanes put back in one call
local freed = {} -- caps that tasks have left in this call

-- Narrowest first: a lane waits where the fewest others do.
local function caps_of(lane)
  local agent, tenant, rest = string.match(lane, '^!?([^|]*)|?([^|]*)(.*)$')
  local key = string.match(rest, '^|k=([^|]*)')
  if key then return { 'k|' .. agent .. '|' .. tenant .. '|' .. key, 't|' .. tenant, 'a|' .. agent } end
  return { 't|' .. tenant, 'a|' .. agent }
end

local limits, limited = {}, nil -- what was read of `caps`; whether there is anything in it

local function limit_of(cap)
  local kind = string.sub(cap, 1, 1)
  if limited == nil then limited = call('EXISTS', base .. 'caps') == 1 end
  if not limited then return kind == 'k' and KEY_LIMIT or nil end
  local limit = limits[cap]
  if limit == nil then
    if kind == 'k' then
      limit = call('HGET', base .. 'caps', string.match(cap, '^k|[^|]*')) or KEY_LIMIT
    else
      local found = call('HMGET', base .. 'caps', cap, kind)
      limit = found[1] or found[2]
    end
    limit = limit and tonumber(limit) or false
    limits[cap] = limit
  end
  return limit or nil
end

local function room_of(cap)
  local limit = limit_of(cap)
  return limit and limit - call('ZCARD', base .. 'cap:' .. cap) or math.huge
end

-- The caps of a lane that bound it now; nil when none does.
local function bounds_of(lane)
  if limited == nil then limited = call('EXISTS', base .. 'caps') == 1 end
  if not limited and not string.find(lane, '|k=', 1, true) then return nil end
  local bounds
  for _, cap in ipairs(caps_of(lane)) do
    if limit_of(cap) then
      bounds = bounds or {}
      bounds[#bounds + 1] = cap
    end
  end
  return bounds
end

-- Tenants are counted only while they have a limit, the others always: a limit that comes later finds the count right.
local function enter_caps(ids, lanes)
  local entering, caps = {}, {}
  for at, id in ipairs(ids) do
    local lane = lanes[at]
    if not caps[lane] then
      caps[lane] = {}
      for _, cap in ipairs(caps_of(lane)) do
        if string.sub(cap, 1, 1) ~= 't' or limit_of(cap) then caps[lane][#caps[lane] + 1] = cap end
      end
    end
    for _, cap in ipairs(caps[lane]) do
      local values = entering[cap] or {}
      entering[cap] = values
      values[#values + 1] = 0
      values[#values + 1] = id
    end
  end
  for cap, values in pairs(entering) do send(values, 1, #values, 'ZADD', base .. 'cap:' .. cap) end
end

local function leave_caps(ids, lane)
  for _, cap in ipairs(caps_of(lane)) do
    send(ids, 1, #ids, 'ZREM', base .. 'cap:' .. cap)
    freed[cap] = true
  end
end

local function put_lanes_back(cap, count)
  local queue, back = base .. 'capwait:' .. cap, {}
  for _, lane in ipairs(call('ZRANGE', queue, 0, count - 1)) do
    if waits_at(lane) == cap then
      end_wait(lane, cap)
      back[lane] = true
    else
      -- It does not say so itself: it was left on this list when `capped-by` was lost.
      call('ZREM', queue, lane)
    end
  end
  settle(back)
end

-- Puts lanes back that wait at these caps: as many as each has places, or `slice` where it has any. Answers whether
-- there is something to look at now, and empties `caps`.
local function release_places(caps, slice)
  if not next(caps) then return false end
  waits_at('')
  if not anyone_waits then return false end
  local left, found = RELEASED_MAX, false
  for cap in pairs(caps) do
    local waiting = call('ZCARD', base .. 'capwait:' .. cap)
    local room = waiting > 0 and room_of(cap) or 0
    if room > 0 then
      local count = math.min(left, waiting, slice or room)
      if count > 0 then put_lanes_back(cap, count) end
      left, waiting, found = left - count, waiting - count, true
    end
    if room > 0 and waiting > 0 then
      call('ZADD', base .. 'capfree', 0, cap)
    else
      call('ZREM', base .. 'capfree', cap)
    end
    caps[cap] = nil
  end
  return found
end
