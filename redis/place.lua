--[[
Where task ARGV[2] stands in lane ARGV[1]: its rank from 0, the lane's length, and of each further lane how many tasks have a
lower score. Without a rank it does not stand there.
]]
--@include prelude
local key = base .. 'lane:' .. ARGV[1]
local rank, score = call('ZRANK', key, ARGV[2]), call('ZSCORE', key, ARGV[2])
local reply = { rank, call('ZCARD', key) }
if not rank then return { false } end
for at = 3, #ARGV do reply[at] = call('ZCOUNT', base .. 'lane:' .. ARGV[at], '-inf', '(' .. score) end
return reply
