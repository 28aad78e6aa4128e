--[[ At most ARGV[1] lanes with length and best score: best head first, those of paused agents last. ]]
--@include prelude
local limit = tonumber(ARGV[1])
local reply = { call('TIME') }
for _, place in ipairs({ 'heads', 'parked' }) do
  local left = limit - (#reply - 1) / 4
  if left > 0 then
    local lanes = call('ZRANGE', base .. place, 0, left - 1, 'WITHSCORES')
    for at = 1, #lanes, 2 do
      local n = #reply
      reply[n + 1], reply[n + 2] = lanes[at], lanes[at + 1]
      reply[n + 3], reply[n + 4] = call('ZCARD', base .. 'lane:' .. lanes[at]), place
    end
  end
end
return reply
