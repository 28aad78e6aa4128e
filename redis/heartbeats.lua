--[[ The last heartbeat of every worker that beat at or after ARGV[1]: worker, then its lease entry. ]]
--@include prelude
local reply = { call('TIME') }
for _, worker in ipairs(call('ZRANGEBYSCORE', base .. 'beats', ARGV[1], '+inf')) do
  local entry = call('XREVRANGE', base .. 'lease:' .. worker, '+', '-', 'COUNT', 1)[1]
  if entry then
    reply[#reply + 1] = worker
    reply[#reply + 1] = entry
  end
end
return reply
