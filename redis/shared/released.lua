-- What a holder may forget: at most RELEASED_MAX at once, the rest with its next call.
local RELEASED_MAX = 1000

local function pop_released(holder)
  return call('LPOP', base .. 'released:' .. holder, RELEASED_MAX) or {}
end
