--[[
Writes the ledger of shares (ARGV[4]) as version ARGV[3], under the owner's epoch ARGV[1] and the version ARGV[2] that must
stand.
]]
--@include prelude
local key = base .. 'ledger'
if call('HGET', base .. 'owner', 'epoch') ~= ARGV[1] then return 'fenced' end
if (call('HGET', key, 'version') or '0') ~= ARGV[2] then return 'conflict' end
call('HSET', key, 'version', ARGV[3], 'text', ARGV[4])
return 'written'
