--[[
The limits as they stand, and who is bounded by them: the caps that bound the first ARGV[1] waiting lanes, and those of
agents and tenants that have a limit of their own. Answers the limits as pairs; of each cap its name, tasks, limit, waiting
lanes, and how many of the lanes looked at need a place in it; the version of the ledger that was written last.
]]
--@include prelude
--@include lanes
--@include caps
local wanted, reply = {}, {}
for _, lane in ipairs(call('ZRANGE', base .. 'capped', 0, tonumber(ARGV[1]) - 1)) do
  for _, cap in ipairs(bounds_of(lane) or {}) do wanted[cap] = (wanted[cap] or 0) + 1 end
end
local standing = call('HGETALL', base .. 'caps')
for at = 1, #standing, 2 do
  if string.find(standing[at], '^[at]|') then wanted[standing[at]] = wanted[standing[at]] or 0 end
end
for cap, lanes in pairs(wanted) do
  local n = #reply
  reply[n + 1], reply[n + 2] = cap, call('ZCARD', base .. 'cap:' .. cap)
  reply[n + 3], reply[n + 4], reply[n + 5] = limit_of(cap) or '', call('ZCARD', base .. 'capwait:' .. cap), lanes
end
return { standing, reply, call('GET', base .. 'caps-version') or '0' }
