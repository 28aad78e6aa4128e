--[[ Removes the entry of instance ARGV[1] if incarnation ARGV[2] holds it. ]]
--@include prelude
--@include tell
local id, incarnation = ARGV[1], ARGV[2]
local entry = call('HGET', base .. 'instances', id)
if not entry or string.match(entry, '^%S+') ~= incarnation then return 0 end
call('HDEL', base .. 'instances', id)
call('HDEL', base .. 'facts', id)
call('ZREM', base .. 'seen', id)
tell('instance.deregistered', id, string.match(entry, '^%S+ %S+ (.*)$') or '')
return 1
