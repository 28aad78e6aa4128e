-- Records by block: `m:<block>` holds `version state operation` of each record, `b:<block>` its texts.
local BLOCK = 15

-- Meta of these ids, in order, false where there is no record; read block by block.
local function metas_of(ids)
  local sub, groups, names, metas = string.sub, {}, {}, {}
  for at = 1, #ids do
    local block = sub(ids[at], 1, BLOCK)
    local group = groups[block]
    if not group then
      group = { fields = {}, places = {} }
      groups[block] = group
      names[#names + 1] = block
    end
    local n = #group.fields + 1
    group.fields[n] = sub(ids[at], BLOCK + 1)
    group.places[n] = at
  end
  for _, block in ipairs(names) do
    local group = groups[block]
    local found = call('HMGET', base .. 'm:' .. block, unpack(group.fields))
    for n = 1, #group.fields do metas[group.places[n]] = found[n] end
  end
  return metas
end

local function is_queued(meta)
  return meta and string.find(meta, '^%d+ q ') ~= nil
end
