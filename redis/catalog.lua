--[[ All remembered agents (shard 0): pairs of name and card. ]]
--@include prelude
return call('HGETALL', base .. 'agents')
