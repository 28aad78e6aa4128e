--[[ Pauses or resumes (ARGV[2] = '1' or '0') an agent: its lanes move between `heads` and `parked`. ]]
--@include prelude
--@include lanes
local agent, paused = ARGV[1], ARGV[2] == '1'
local PAGE = 1000
call(paused and 'SADD' or 'SREM', base .. 'paused', agent)
local from, to = base .. (paused and 'heads' or 'parked'), base .. (paused and 'parked' or 'heads')
local moving = {}
for first = 0, call('ZCARD', from) - 1, PAGE do
  for _, lane in ipairs(call('ZRANGE', from, first, first + PAGE - 1)) do
    if agent_of(lane) == agent then moving[#moving + 1] = lane end
  end
end
for _, lane in ipairs(moving) do
  call('ZADD', to, call('ZSCORE', from, lane), lane)
  call('ZREM', from, lane)
end
if not paused then wake('q', '1') end
