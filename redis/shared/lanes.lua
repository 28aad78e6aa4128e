-- Lanes and their heads. A lane with tasks stands in one of three places, under the score of its first task: in `heads`;
-- in `parked`, while its agent is paused; or in `capped`, while it waits for a place in a cap that is full. Then
-- `capped-by` holds the name of the cap, and the lane stands in that cap's `capwait:` too. Whoever changes lanes settles
-- each of them once, when all its changes are made.
local WAKE_MAX = 1000

local function agent_of(lane)
  return string.match(lane, '^!?([^|]*)')
end

local function wake(field, value)
  call('XADD', base .. 'wake', 'MAXLEN', '~', WAKE_MAX, '*', field, value)
end

local paused -- agents; read when first needed
local anyone_waits -- at a cap; asked when first needed

-- The cap at which the lane waits, if it does.
local function waits_at(lane)
  if anyone_waits == nil then anyone_waits = call('EXISTS', base .. 'capped-by', base .. 'capped') > 0 end
  return anyone_waits and call('HGET', base .. 'capped-by', lane) or nil
end

-- To be settled afterwards, as everything that changes where a lane stands.
local function let_wait(lane, cap)
  anyone_waits = true
  call('HSET', base .. 'capped-by', lane, cap)
end

local function end_wait(lane, cap)
  call('HDEL', base .. 'capped-by', lane)
  call('ZREM', base .. 'capwait:' .. cap, lane)
end

-- Where a lane with tasks stands, and the cap it is waiting for (or still on the list of, when it is parked by now).
local function place_of(lane)
  if not paused then
    paused = {}
    for _, agent in ipairs(call('SMEMBERS', base .. 'paused')) do paused[agent] = true end
  end
  local cap = waits_at(lane)
  if paused[agent_of(lane)] then return 'parked', cap end
  return cap and 'capped' or 'heads', cap
end

local function settle(lanes)
  for lane in pairs(lanes) do
    local place, cap = place_of(lane)
    local score = call('ZRANGE', base .. 'lane:' .. lane, 0, 0, 'WITHSCORES')[2]
    if cap and not (score and place == 'capped') then end_wait(lane, cap) end
    if place ~= 'heads' or not score then call('ZREM', base .. 'heads', lane) end
    if place ~= 'parked' or not score then call('ZREM', base .. 'parked', lane) end
    if anyone_waits and (place ~= 'capped' or not score) then call('ZREM', base .. 'capped', lane) end
    if score then call('ZADD', base .. place, score, lane) end
    if score and place == 'capped' then call('ZADD', base .. 'capwait:' .. cap, score, lane) end
  end
end
