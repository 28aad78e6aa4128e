-- For each unique key named in ARGV its holder (`id digest`) and the milliseconds it still stands; false, -2 for none.
--@include prelude
local reply = {}
for at, key in ipairs(ARGV) do
  reply[2 * at - 1] = call('GET', base .. 'u:' .. key)
  reply[2 * at] = call('PTTL', base .. 'u:' .. key)
end
return reply
