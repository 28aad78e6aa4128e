--[[
Registers an instance (shard 0). ARGV: id, nonce, milliseconds after which an entry is taken over, incarnation known to
be dead, text of the instance, text of its facts. The entry is `incarnation startedAt text`: no text is parsed here.
]]
--@include prelude
--@include tell
local id, nonce, ttl, dead = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local entry, seen = call('HGET', base .. 'instances', id), call('ZSCORE', base .. 'seen', id)
if entry then
  local incarnation = string.match(entry, '^%S+')
  local repeated = string.sub(incarnation, -#nonce - 1) == '-' .. nonce
  if not repeated and now - (tonumber(seen) or 0) < ttl and incarnation ~= dead then
    return { time, 'held', entry, call('HGET', base .. 'facts', id), seen }
  end
  if repeated then
    call('ZADD', base .. 'seen', now, id)
    return { time, '', entry, call('HGET', base .. 'facts', id) }
  end
end
-- Two incarnations of one millisecond still have an earlier and a later one.
local last = math.max(now, (tonumber(call('GET', base .. 'incarnation')) or 0) + 1)
call('SET', base .. 'incarnation', string.format('%d', last))
entry = string.format('%d-%s %d %s', last, nonce, now, '') .. ARGV[5]
call('HSET', base .. 'instances', id, entry)
call('HSET', base .. 'facts', id, ARGV[6])
call('ZADD', base .. 'seen', now, id)
tell('instance.registered', id, ARGV[5])
return { time, '', entry, ARGV[6] }
