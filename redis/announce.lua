--[[ Remembers agents (shard 0): ARGV are pairs of name and card, the newest card replaces. ]]
--@include prelude
in_pieces(ARGV, 1, #ARGV, function(...) return call('HSET', base .. 'agents', ...) end)
