--[[ Remembers agents (shard 0): ARGV are pairs of name and card, the newest card replaces. ]]
--@include prelude
send(ARGV, 1, #ARGV, 'HSET', base .. 'agents')
