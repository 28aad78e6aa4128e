-- Every key of a shard begins with KEYS[1], its hash tag: `{prefix:shard}:`. Names are built here, never passed.
local call, base, unpack = redis.call, KEYS[1], unpack
-- Values given to one command at most: Lua's stack holds about 8,000.
local VALUES_MAX = 2000

-- `command key [option] values[first] … values[last]`, in pieces that fit. Answers the sum of the replies.
local function send(values, first, last, command, key, option)
  local sum = 0
  for at = first, last, VALUES_MAX do
    local to = math.min(at + VALUES_MAX - 1, last)
    if option then
      sum = sum + call(command, key, option, unpack(values, at, to))
    else
      sum = sum + call(command, key, unpack(values, at, to))
    end
  end
  return sum
end
