-- Records by block: `m:<block>` holds `version state operation` of each record, `b:<block>` its texts.
local BLOCK = 15

-- Meta of these ids, in order, false where there is no record; read block by block.
local function metas_of(ids)
  local sub, groups, names, metas = string.sub, {}, {}, {}
  for at = 1, #ids do
    local block = sub(ids[at], 1, BLOCK)
    local group = groups[block]
    if group then
      group[#group + 1] = at
    else
      groups[block] = { at }
      names[#names + 1] = block
    end
  end
  for n = 1, #names do
    local places, key = groups[names[n]], base .. 'm:' .. names[n]
    if #places == 1 then
      metas[places[1]] = call('HGET', key, sub(ids[places[1]], BLOCK + 1))
    else
      local fields = {}
      for k = 1, #places do fields[k] = sub(ids[places[k]], BLOCK + 1) end
      local found = call('HMGET', key, unpack(fields))
      for k = 1, #places do metas[places[k]] = found[k] end
    end
  end
  return metas
end

local function is_queued(meta)
  return meta and string.find(meta, '^%d+ q ') ~= nil
end

-- A worker has it.
local function is_active(meta)
  return meta and string.find(meta, '^%d+ [ar] ') ~= nil
end
