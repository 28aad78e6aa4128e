--[[ Makes ARGV[2] the registered incarnation of worker ARGV[1], unless a later one is: 1 or 0. ]]
--@include prelude
--@include order
local worker, incarnation = ARGV[1], ARGV[2]
local registered = call('HGET', base .. 'incarnations', worker)
local function time_of(name)
  return tonumber(string.match(name, '^%d+')) or 0
end
if registered then
  local old, new = time_of(registered), time_of(incarnation)
  if old > new or (old == new and before(incarnation, registered)) then return 0 end
end
call('HSET', base .. 'incarnations', worker, incarnation)
return 1
