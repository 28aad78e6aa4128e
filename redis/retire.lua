--[[ Removes what is left of incarnation ARGV[2] of worker ARGV[1]; 0 when it still holds attempts. ]]
--@include prelude
local worker, incarnation = ARGV[1], ARGV[2]
local holder = worker .. '@' .. incarnation
if call('EXISTS', base .. 'held:' .. holder) == 1 then return 0 end
call('DEL', base .. 'mail:' .. holder, base .. 'released:' .. holder)
call('SREM', base .. 'holders', holder)
local lease = call('XREVRANGE', base .. 'lease:' .. worker, '+', '-', 'COUNT', 1)[1]
if lease and lease[2][6] == incarnation then
  call('DEL', base .. 'lease:' .. worker)
  call('ZREM', base .. 'beats', worker)
end
if call('HGET', base .. 'incarnations', worker) == incarnation then call('HDEL', base .. 'incarnations', worker) end
return 1
