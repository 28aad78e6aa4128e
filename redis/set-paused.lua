--[[
Pauses or resumes (ARGV[2] = '1' or '0') an agent: its lanes move between `parked` and where they stood. One that waited
at a cap comes back into `heads`, where the next take looks at that cap anew.
]]
--@include prelude
--@include lanes
local agent, pausing = ARGV[1], ARGV[2] == '1'
local PAGE = 1000
call(pausing and 'SADD' or 'SREM', base .. 'paused', agent)
local moving = {}
for _, from in ipairs(pausing and { 'heads', 'capped' } or { 'parked' }) do
  for first = 0, call('ZCARD', base .. from) - 1, PAGE do
    for _, lane in ipairs(call('ZRANGE', base .. from, first, first + PAGE - 1)) do
      if agent_of(lane) == agent then moving[lane] = true end
    end
  end
end
settle(moving)
if not pausing then wake('q', '1') end
