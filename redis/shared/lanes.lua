-- Lanes and their heads. A lane with tasks stands in `heads` (or in `parked`, while its agent is paused) under the
-- score of its first task; whoever changes lanes settles each of them once, when all its changes are made.
local WAKE_MAX = 1000

local function agent_of(lane)
  return string.match(lane, '^!?([^|]*)')
end

local function wake(field, value)
  call('XADD', base .. 'wake', 'MAXLEN', '~', WAKE_MAX, '*', field, value)
end

local function settle(lanes)
  if next(lanes) == nil then return end
  local paused = {}
  for _, agent in ipairs(call('SMEMBERS', base .. 'paused')) do paused[agent] = true end
  for lane in pairs(lanes) do
    local place = base .. (paused[agent_of(lane)] and 'parked' or 'heads')
    local first = call('ZRANGE', base .. 'lane:' .. lane, 0, 0, 'WITHSCORES')
    if first[2] then call('ZADD', place, first[2], lane) else call('ZREM', place, lane) end
  end
end
