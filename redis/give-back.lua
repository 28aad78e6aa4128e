--[[
Puts reserved tasks of token ARGV[1] back into their lanes: those named in ARGV[2…], or all when ARGV[2] is empty.
]]
--@include prelude
--@include lanes
--@include caps
--@include records
--@include reservations
local token, key = ARGV[1], base .. 'taken:' .. ARGV[1]
local held = {}
if ARGV[2] == '' then
  held = call('HGETALL', key)
else
  for at = 2, #ARGV do
    local place = call('HGET', key, ARGV[at])
    if place then
      held[#held + 1] = ARGV[at]
      held[#held + 1] = place
    end
  end
end
local touched = {}
local _, back = put_back(token, held, touched)
settle(touched)
if release_places(freed) or back then wake('q', '1') end
