--[[
Sets a new epoch for instance ARGV[2] if the shard's lock holds ARGV[1]; ARGV[3] is its random part. The number may go
back after a failover, so epochs are compared for equality only and the random part keeps them apart.
]]
--@include prelude
--@include tell
if call('GET', base .. 'lock') ~= ARGV[1] then return false end
local epoch = call('HINCRBY', base .. 'owner', 'number', 1) .. '.' .. ARGV[3]
call('HSET', base .. 'owner', 'epoch', epoch, 'instance', ARGV[2])
tell('leader.changed', epoch, ARGV[2])
return epoch
