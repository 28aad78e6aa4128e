-- Every key of a shard begins with KEYS[1], its hash tag: `{prefix:shard}:`. Names are built here, never passed.
local call, base, unpack = redis.call, KEYS[1], unpack
-- Values given to one command at most: Lua's stack holds about 8,000.
local VALUES_MAX = 2000

-- Calls `call(…, values[first … last])` in pieces; answers the sum of the replies.
local function in_pieces(values, first, last, send)
  local sum = 0
  for at = first, last, VALUES_MAX do
    sum = sum + send(unpack(values, at, math.min(at + VALUES_MAX - 1, last)))
  end
  return sum
end
