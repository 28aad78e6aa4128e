--[[ Renews the entry of instance ARGV[1] if incarnation ARGV[2] holds it, with new facts ARGV[3]: 1 or 0. ]]
--@include prelude
local id, incarnation = ARGV[1], ARGV[2]
local time = call('TIME')
local entry = call('HGET', base .. 'instances', id)
if not entry or string.match(entry, '^%S+') ~= incarnation then return { time, 0 } end
call('HSET', base .. 'facts', id, ARGV[3])
call('ZADD', base .. 'seen', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), id)
return { time, 1 }
