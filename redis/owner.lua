--[[ Who owns the shard: instance, epoch, and how many milliseconds its lock lasts (-2 = it is free). ]]
--@include prelude
local owner = call('HMGET', base .. 'owner', 'instance', 'epoch')
return { call('TIME'), owner[1], owner[2], call('PTTL', base .. 'lock') }
