--[[
Schedules as flat pairs of key and `version text`, behind the time. ARGV[1] = 'all'; 'due': those due by now, at most
ARGV[2], the longest due first; 'key': the one named ARGV[2].
]]
--@include prelude
local time = call('TIME')
local which, argument = ARGV[1], ARGV[2]
if which == 'all' then return { time, call('HGETALL', base .. 'schedules') } end
local keys = { argument }
if which == 'due' then
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  keys = call('ZRANGEBYSCORE', base .. 'schedule-due', '-inf', now, 'LIMIT', 0, tonumber(argument))
end
local found = {}
for _, key in ipairs(keys) do
  local entry = call('HGET', base .. 'schedules', key)
  if entry then
    found[#found + 1] = key
    found[#found + 1] = entry
  end
end
return { time, found }
