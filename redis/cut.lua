--[[
The end of a snapshot's reading: where the event stream ends, and of one moment with it, meta, specification and trail of
each record that is named here or behind a place of that stream. ARGV = that place, how many entries and how many records
it may be at most (more: nothing is answered, the caller reads on first), ids. What changes a record appends to the stream
in the same script, so no change lies between the two.
]]
--@include prelude
--@include records
local after, entries_max, records_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entries = call('XRANGE', base .. 'events', '(' .. after, '+', 'COUNT', entries_max + 1)
if #entries > entries_max then return false end

local ids, known = {}, {}
local function name(id)
  if known[id] then return end
  known[id] = true
  ids[#ids + 1] = id
end
for at = 4, #ARGV do name(ARGV[at]) end
for _, entry in ipairs(entries) do
  local fields = entry[2]
  for at = 1, #fields, 2 do
    if fields[at] == 'e' then
      for id in string.gmatch(fields[at + 1], '([^ ;]+) %d+ %a+') do name(id) end
    end
  end
end
if #ids > records_max then return false end

local reply, metas = { #entries > 0 and entries[#entries][1] or after }, metas_of(ids)
for at, id in ipairs(ids) do
  local block, field = string.sub(id, 1, BLOCK), string.sub(id, BLOCK + 1)
  local texts = metas[at] and call('HMGET', base .. 'b:' .. block, field, field .. 't') or { false, false }
  reply[4 * at - 2], reply[4 * at - 1], reply[4 * at], reply[4 * at + 1] = id, metas[at] or false, texts[1], texts[2]
end
return reply
