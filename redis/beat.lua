--[[
Renews a worker's lease with its heartbeat. The entry's id is the store's time, and the lease starts there. Only the
registered incarnation may: any other is answered `replaced` or `unknown` and ends itself.
ARGV: worker, incarnation, to coordinators, to distributors, first mailbox entry to keep, wake ('1' or '0').
]]
--@include prelude
--@include lanes
--@include released
local worker, incarnation = ARGV[1], ARGV[2]
local registered = call('HGET', base .. 'incarnations', worker)
if registered ~= incarnation then return { call('TIME'), registered and 'replaced' or 'unknown' } end
local holder = worker .. '@' .. incarnation
call('XTRIM', base .. 'mail:' .. holder, 'MINID', ARGV[5])
local entry = call('XADD', base .. 'lease:' .. worker, 'MAXLEN', 1, '*', 'c', ARGV[3], 'd', ARGV[4], 'i', incarnation)
call('ZADD', base .. 'beats', string.match(entry, '^%d+'), worker)
if ARGV[6] == '1' then wake('b', worker) end
return { call('TIME'), '', entry, pop_released(holder) }
