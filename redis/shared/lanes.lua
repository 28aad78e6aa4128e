-- Lanes and their heads. A lane with tasks stands in `heads` (or in `parked`, while its agent is paused) under the
-- score of its first task; whoever changes lanes settles each of them once, when all its changes are made.
local WAKE_MAX = 1000

local function agent_of(lane)
  return string.match(lane, '^!?([^|]*)')
end

local function wake(field, value)
  call('XADD', base .. 'wake', 'MAXLEN', '~', WAKE_MAX, '*', field, value)
end

local paused -- agents; read when first needed

-- The key in which a lane with tasks stands, and the one in which it must not.
local function places_of(lane)
  if not paused then
    paused = {}
    for _, agent in ipairs(call('SMEMBERS', base .. 'paused')) do paused[agent] = true end
  end
  if paused[agent_of(lane)] then return base .. 'parked', base .. 'heads' end
  return base .. 'heads', base .. 'parked'
end

local function settle(lanes)
  for lane in pairs(lanes) do
    local place, other = places_of(lane)
    local first = call('ZRANGE', base .. 'lane:' .. lane, 0, 0, 'WITHSCORES')
    call('ZREM', other, lane)
    if first[2] then call('ZADD', place, first[2], lane) else call('ZREM', place, lane) end
  end
end
