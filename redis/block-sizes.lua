--[[
How much memory blocks of records take: for each block named, the bytes of its hashes, as Redis counts them, and of the
payloads that are stored apart. All fields are counted: of a sample of them, how many are inputs is left to chance.
]]
--@include prelude
local ALL = 0
local sizes = {}

local function bytes_of(key)
  return call('MEMORY', 'USAGE', key, 'SAMPLES', ALL) or 0
end

local function stored_apart(block)
  local sum = 0
  for _, bytes in ipairs(call('HVALS', base .. 'l:' .. block)) do sum = sum + bytes end
  return sum
end

for at, block in ipairs(ARGV) do
  sizes[at] = bytes_of(base .. 'm:' .. block) + bytes_of(base .. 'b:' .. block) + stored_apart(block)
end
return sizes
