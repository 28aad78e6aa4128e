--[[
Reads records, block by block: ARGV[1] = suffixes of the wanted texts (a letter each, `s` for the specification, which
has none), then for every run of ids of one block: block, how many, their fields. A run of no fields is the whole block.
Meta and texts come from one moment, so a version always stands beside its own trail.
]]
--@include prelude
local parts, p = ARGV[1], 2
local reply = { call('TIME') }
while p <= #ARGV do
  local block, n = ARGV[p], tonumber(ARGV[p + 1])
  p = p + 2
  local fields, metas = {}, nil
  if n == 0 then
    fields = call('HKEYS', base .. 'm:' .. block)
  else
    for i = 1, n do fields[i] = ARGV[p + i - 1] end
  end
  local names, at = {}, 0
  for _, field in ipairs(fields) do
    for k = 1, #parts do
      local letter = string.sub(parts, k, k)
      at = at + 1
      names[at] = letter == 's' and field or field .. letter
    end
  end
  p = p + n
  if #fields > 0 then
    if n == 0 then reply[#reply + 1] = fields end
    reply[#reply + 1] = call('HMGET', base .. 'm:' .. block, unpack(fields))
    reply[#reply + 1] = call('HMGET', base .. 'b:' .. block, unpack(names))
  end
end
return reply
