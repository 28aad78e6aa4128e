--[[
At most ARGV[1] lanes with length, best score, place and the cap they wait for ('' = none): best head first, then those
that wait at caps, those of paused agents last.
]]
--@include prelude
local limit = tonumber(ARGV[1])
local reply = { call('TIME') }
for _, place in ipairs({ 'heads', 'capped', 'parked' }) do
  local left = limit - (#reply - 1) / 5
  if left > 0 then
    local lanes = call('ZRANGE', base .. place, 0, left - 1, 'WITHSCORES')
    for at = 1, #lanes, 2 do
      local n = #reply
      reply[n + 1], reply[n + 2] = lanes[at], lanes[at + 1]
      reply[n + 3], reply[n + 4] = call('ZCARD', base .. 'lane:' .. lanes[at]), place
      reply[n + 5] = place == 'capped' and call('HGET', base .. 'capped-by', lanes[at]) or ''
    end
  end
end
return reply
