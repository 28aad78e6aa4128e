--[[ All registered instances: pairs of id and entry, pairs of id and facts, pairs of id and when it was last seen. ]]
--@include prelude
return {
  call('TIME'),
  call('HGETALL', base .. 'instances'),
  call('HGETALL', base .. 'facts'),
  call('ZRANGE', base .. 'seen', 0, -1, 'WITHSCORES'),
}
