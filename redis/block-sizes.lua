--[[
How much memory blocks of records take: for each block named, the bytes of its two hashes, as Redis counts them. A hash
that is not compact is measured by a few of its fields, which is right on average and cheap for a block of any size.
]]
--@include prelude
local SAMPLES = 20
local sizes = {}

local function bytes_of(key)
  return call('MEMORY', 'USAGE', key, 'SAMPLES', SAMPLES) or 0
end

for at, block in ipairs(ARGV) do
  -- Payloads that are kept apart from their record are to be added here.
  sizes[at] = bytes_of(base .. 'm:' .. block) + bytes_of(base .. 'b:' .. block)
end
return sizes
