--[[
Writes a commit: units that are each all or nothing under the version that must stand, and what follows from which of
them won. Registered twice: for creation, refused when Redis is out of memory, and with allow-oom for everything else,
so that a full queue drains.

The arguments are laid out for the usual case that every unit wins: index changes stand in ARGV as the values of one
command each and go out with `unpack`, and the events and winners of a post as one text. Only when a unit did not win
(`out` then holds a letter for it) the lists of unit numbers beside them are read and the losers left out.
Numbers of units count from 0 in the order of the caller; `order` maps the order of this script to it ('' = the same).

Large texts come beforehand, each under a key `out:` of its own with an end, and are only renamed here: a text that
enters a script is copied and hashed, which takes five times as long as storing it.

Letters: a already, c conflict, r not reserved, e exists, m missing (a large text), p repaired; nothing = written now.
]]
--@include prelude
--@include lanes
--@include caps
local MAIL_MAX, MAIL_TTL, EVENTS_MAX, QUARANTINE_MAX, RELEASED_TTL = 20000, 86400, 100000, 1000, 3600
local EVENTS_BYTES_MAX = 32 * 1024 * 1024
local sub = string.sub
local op, epoch, from, total, order = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local p = 6
local time = call('TIME')

local function fence()
  if epoch ~= '' and call('HGET', base .. 'owner', 'epoch') ~= epoch then return 'epoch' end
  if from ~= '' and (call('GET', base .. 'cursor') or '0-0') ~= from then return 'cursor' end
end

local fenced = fence()
if fenced then
  local cursor = from ~= '' and (call('GET', base .. 'cursor') or '0-0') or ''
  return { time[1], time[2], fenced, cursor, '', {}, {} }
end

local out, extras, lossless = {}, {}, true
local unit = 0 -- units seen so far, in the order of this script
local places -- from the order of this script to the caller's; read when first needed

local function numbers(text)
  local list = {}
  for number in string.gmatch(text, '[^,]+') do list[#list + 1] = number end
  return list
end

local function mark(letter, detail)
  lossless = false
  if order ~= '' then places = places or numbers(order) end
  local at = places and tonumber(places[unit]) or unit - 1
  out[at] = letter
  if detail then
    extras[#extras + 1] = at
    extras[#extras + 1] = detail
  end
end

-- Written now. `name` is what stands at `n` in a list of unit numbers; several joined by + are one for all.
local function wrote(name)
  for number in string.gmatch(name, '%d+') do
    if not out[tonumber(number)] then return true end
  end
  return false
end

local function lost(number)
  local letter = out[number]
  return letter == 'c' or letter == 'r' or letter == 'e' or letter == 'm'
end

local touched, woke = {}, false
local reserved, ended = {}, {}

local function stands_in(token, id)
  if not reserved[token] then
    local ids = {}
    for _, held in ipairs(call('HKEYS', base .. 'taken:' .. token)) do ids[held] = true end
    reserved[token] = ids
  end
  return reserved[token][id]
end

-- The record is not at the version that must stand: was it this very operation that moved it on?
local function applied(stored, meta)
  if not stored then return false end
  local version, operation = string.match(stored, '^(%d+) %a (.*)$')
  return operation == op and version == string.match(meta, '^%d+')
end

local SUFFIX = { s = '', i = 'i', t = 't', r = 'r' }

-- What the units of a class have in common; set by `begin_class`.
local expect, stands_at, meta, token, unique -- stands_at: length of `expect`, 0 for a creation
local removing, clears, texts, suffixes, width, becomes_active
local large -- a letter for each text that waits under `out:`: i, r

local function begin_class()
  expect, meta, token, unique = ARGV[p], ARGV[p + 1], ARGV[p + 3], ARGV[p + 4] == '1'
  local parts, runs = ARGV[p + 2], tonumber(ARGV[p + 6])
  large = ARGV[p + 5]
  p = p + 7
  stands_at, removing, clears = #expect, parts == 'D', sub(parts, -1) == 'R'
  texts = removing and 0 or (clears and #parts - 1 or #parts)
  width = 1 + texts + (unique and 3 or 0) + 2 * #large
  becomes_active = not removing and string.find(meta, '^%d+ [ar] ') ~= nil
  suffixes = {}
  for k = 1, texts do suffixes[k] = SUFFIX[sub(parts, k, k)] end
  return runs
end

-- What was rejected instead of assigned leaves the caps that its taking has put it in.
local rejected = {}
local function reject(id)
  local lane = string.match(call('HGET', base .. 'taken:' .. token, id), '^%S+ (.*)$')
  local ids = rejected[lane] or {}
  rejected[lane] = ids
  ids[#ids + 1] = id
end

-- Name and length of each large text are the last arguments of a unit.
local function large_texts_stand()
  for at = p + width - 2 * #large, p + width - 2, 2 do
    if call('STRLEN', base .. 'out:' .. ARGV[at]) ~= tonumber(ARGV[at + 1]) then return false end
  end
  return true
end

local function take_large_texts(block)
  local field, at = ARGV[p], p + width - 2 * #large
  for letter in string.gmatch(large, '.') do
    local key = base .. 'p:' .. block .. field .. ':' .. letter
    call('RENAME', base .. 'out:' .. ARGV[at], key)
    call('PERSIST', key)
    call('HSET', base .. 'l:' .. block, field .. letter, ARGV[at + 1])
    at = at + 2
  end
end

local function drop_large_texts(block, fields, letters)
  local kept = base .. 'l:' .. block
  if call('EXISTS', kept) == 0 then return end
  for _, field in ipairs(fields) do
    for letter in string.gmatch(letters, '.') do
      if call('HDEL', kept, field .. letter) == 1 then call('UNLINK', base .. 'p:' .. block .. field .. ':' .. letter) end
    end
  end
end

-- Decides the unit whose arguments begin at `p`. One that wins leaves its reservation and takes its key at once.
local function wins(block, is)
  unit = unit + 1
  local stands
  if stands_at == 0 then stands = not is else stands = is and sub(is, 1, stands_at) == expect end
  if not stands then
    mark((removing and not is or applied(is, meta)) and 'a' or 'c')
    return false
  end
  if removing and not is then
    mark('a')
    return false
  end
  if large ~= '' and not large_texts_stand() then
    mark('m')
    return false
  end
  if token == '' and not unique then return true end
  local id = block .. ARGV[p]
  if token ~= '' and not stands_in(token, id) then
    mark('r')
    return false
  end
  if unique then
    local key = base .. 'u:' .. ARGV[p + 1 + texts]
    local holder = call('GET', key)
    if holder then
      mark('e', holder)
      return false
    end
    call('SET', key, id .. ' ' .. ARGV[p + 2 + texts], 'PX', ARGV[p + 3 + texts])
  end
  if token ~= '' then
    local list = ended[token] or {}
    ended[token] = list
    list[#list + 1] = id
    reserved[token][id] = nil
    if not becomes_active then reject(id) end
  end
  return true
end

local function remove_records(block, fields)
  local metas, bodies = base .. 'm:' .. block, base .. 'b:' .. block
  local names = {}
  for _, field in ipairs(fields) do
    for _, suffix in pairs(SUFFIX) do names[#names + 1] = field .. suffix end
  end
  call('HDEL', metas, unpack(fields))
  drop_large_texts(block, fields, 'ir')
  send(names, 1, #names, 'HDEL', bodies)
  if call('EXISTS', metas) == 0 then
    call('DEL', bodies)
    call('ZREM', base .. 'blocks', block)
  end
end

-- A run of one: what it becomes when queue order is not id order. Without the lists of `write_run` it costs half.
local function write_alone(block)
  local field, metas, bodies = ARGV[p], base .. 'm:' .. block, base .. 'b:' .. block
  if not wins(block, call('HGET', metas, field)) then return end
  if removing then return remove_records(block, { field }) end
  call('HSET', metas, field, meta)
  if texts == 1 then
    call('HSET', bodies, field .. suffixes[1], ARGV[p + 1])
  elseif texts == 2 then
    call('HSET', bodies, field .. suffixes[1], ARGV[p + 1], field .. suffixes[2], ARGV[p + 2])
  else
    for k = 1, texts do call('HSET', bodies, field .. suffixes[k], ARGV[p + k]) end
  end
  if clears then
    call('HDEL', bodies, field .. 'r')
    drop_large_texts(block, { field }, 'r')
  end
  if large ~= '' then take_large_texts(block) end
  if stands_at == 0 then call('ZADD', base .. 'blocks', 0, block) end
end

-- Units of one block and one class.
local function write_run(block, n)
  local metas_key, bodies_key = base .. 'm:' .. block, base .. 'b:' .. block
  local fields, metas, bodies, cleared, m, b = {}, {}, {}, {}, 0, 0
  for i = 1, n do fields[i] = ARGV[p + (i - 1) * width] end
  local stored = call('HMGET', metas_key, unpack(fields))
  for i = 1, n do
    if wins(block, stored[i]) then
      local field = fields[i]
      metas[m + 1] = field
      if removing then
        m = m + 1
      else
        metas[m + 2] = meta
        m = m + 2
        for k = 1, texts do
          bodies[b + 1] = field .. suffixes[k]
          bodies[b + 2] = ARGV[p + k]
          b = b + 2
        end
        if clears then cleared[#cleared + 1] = field end
        if large ~= '' then take_large_texts(block) end
      end
    end
    p = p + width
  end
  if m == 0 then return end
  if removing then return remove_records(block, metas) end
  call('HSET', metas_key, unpack(metas))
  send(bodies, 1, b, 'HSET', bodies_key)
  if #cleared > 0 then
    drop_large_texts(block, cleared, 'r')
    for i, field in ipairs(cleared) do cleared[i] = field .. 'r' end
    call('HDEL', bodies_key, unpack(cleared))
  end
  if stands_at == 0 then call('ZADD', base .. 'blocks', 0, block) end
end

-- The values at first … last of ARGV that belong to units which were written, `width` of them for each.
local function of_writers(first, n, width, names)
  local kept, list = {}, names ~= '' and numbers(names) or nil
  for i = 1, n do
    if wrote(list and list[i] or tostring(i - 1)) then
      for k = 0, width - 1 do kept[#kept + 1] = ARGV[first + (i - 1) * width + k] end
    end
  end
  return kept, 1, #kept
end

-- A holder is known from its first entry on.
local function know_holder(index)
  if sub(index, 1, 5) == 'held:' then call('SADD', base .. 'holders', sub(index, 6)) end
end

local function note_freed(index)
  if sub(index, 1, 4) == 'cap:' then freed[sub(index, 5)] = true end
end

local function change_index()
  local verb, lane, name, n, names = ARGV[p], ARGV[p + 1] == 'l', ARGV[p + 2], tonumber(ARGV[p + 3]), ARGV[p + 4]
  local width = verb == 'r' and 1 or 2
  local values, first, last = ARGV, p + 5, p + 4 + n * width
  p = last + 1
  if not lossless then values, first, last = of_writers(first, n, width, names) end
  if last < first then return end
  local key = base .. (lane and 'lane:' or '') .. name
  send(values, first, last, verb == 'r' and 'ZREM' or 'ZADD', key, verb == 'm' and 'LT' or nil)
  if lane then
    touched[name] = true
    woke = woke or verb == 'a'
  elseif verb == 'r' then
    note_freed(name)
  else
    know_holder(name)
  end
end

local function write_round()
  local classes = tonumber(ARGV[p])
  p = p + 1
  for _ = 1, classes do
    for _ = 1, begin_class() do
      local block, n = ARGV[p], ARGV[p + 1]
      p = p + 2
      if n == '1' then
        write_alone(block)
        p = p + width
      else
        write_run(block, tonumber(n))
      end
    end
  end
  local groups = tonumber(ARGV[p])
  p = p + 1
  for _ = 1, groups do change_index() end
end

local function is_reserved(id)
  for _, token in ipairs(call('ZRANGE', base .. 'takes', 0, -1)) do
    -- What this commit has ended leaves the key only when all is written.
    local stands = ended[token] and stands_in(token, id)
    if not ended[token] then stands = call('HEXISTS', base .. 'taken:' .. token, id) == 1 end
    if stands then return true end
  end
  return false
end

-- True when a lane with tasks did not stand where it belongs, and only there: nobody would have looked at it in its turn.
local looked = {}
local function put_head_back(lane)
  local place, cap = place_of(lane)
  -- A cap that has places by now, of which nobody told the lane, is looked at once more.
  if cap then freed[cap] = true end
  if touched[lane] or looked[lane] then return false end
  looked[lane] = true
  local first = call('ZRANGE', base .. 'lane:' .. lane, 0, 0, 'WITHSCORES')[2]
  local right = place ~= 'capped' or call('ZSCORE', base .. 'capwait:' .. cap, lane) == first
  for _, one in ipairs({ 'heads', 'parked', 'capped' }) do
    right = right and call('ZSCORE', base .. one, lane) == (one == place and first)
  end
  if right then return false end
  touched[lane] = true
  woke = true
  return true
end

-- One entry of a repair; true when it changed something. Adding puts back what is missing or stands at another score.
local function repair_entry(id, exists, verb, lane, name, score, member)
  local key = base .. (lane and 'lane:' or '') .. name
  local changed
  if verb == 'r' then
    if sub(name, 1, 4) == 'cap:' and not lane and is_reserved(id) then return false end
    changed = call('ZREM', key, member) == 1
    if not lane then note_freed(name) end
  elseif not exists then
    return false
  elseif verb == 'm' then
    know_holder(name)
    return call('ZADD', key, 'LT', 'CH', score, member) == 1
  else
    local stands = call('ZSCORE', key, member)
    if stands and tonumber(stands) == tonumber(score) then return lane and put_head_back(name) end
    if lane and not stands and is_reserved(id) then return false end
    changed = call('ZADD', key, 'CH', score, member) == 1
    woke = woke or lane
    if not lane then know_holder(name) end
  end
  if lane and changed then touched[name] = true end
  return changed
end

local function repair_round()
  local units = tonumber(ARGV[p])
  p = p + 1
  for _ = 1, units do
    local block, field, stands, reseal, n = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3], tonumber(ARGV[p + 4])
    p = p + 5
    unit = unit + 1
    local stored = call('HGET', base .. 'm:' .. block, field)
    if stands == '' and stored or stands ~= '' and not (stored and sub(stored, 1, #stands) == stands) then
      mark('c')
    else
      if stored and reseal ~= '' then call('HSET', base .. 'b:' .. block, field, reseal) end
      local repaired = stored and call('ZADD', base .. 'blocks', 'NX', 0, block) or 0
      for i = 0, n - 1 do
        local verb, lane, name, score, member = unpack(ARGV, p + i * 5, p + i * 5 + 4)
        if repair_entry(block .. field, stored, verb, lane == 'l', name, score, member) then repaired = repaired + 1 end
      end
      mark('p', repaired)
    end
    p = p + n * 5
  end
end

local function write_events()
  local names, events = ARGV[p], ARGV[p + 1]
  p = p + 2
  if not lossless then
    local kept, list, at = {}, names ~= '' and numbers(names) or nil, 0
    for event in string.gmatch(events, '[^;]+') do
      at = at + 1
      if wrote(list and list[at] or tostring(at - 1)) then kept[#kept + 1] = event end
    end
    events = table.concat(kept, ';')
  end
  if events == '' then return end
  -- An entry holds what a whole commit did, so a bound in entries alone would be none in bytes.
  local most = math.max(1, math.min(EVENTS_MAX, math.floor(EVENTS_BYTES_MAX / #events)))
  call('XADD', base .. 'events', 'MAXLEN', '~', most, '*', 'e', events)
end

-- It moves to before the first entry with a lost unit; what was written for later ones is recognised when it comes
-- again.
local function move_cursor()
  local last, entries = ARGV[p], ARGV[p + 1]
  p = p + 2
  if from == '' then return '' end
  local cursor = lossless and last or from
  if not lossless then
    for id, names in string.gmatch(entries, '([^:;]+):([^;]*)') do
      local whole = true
      for number in string.gmatch(names, '%d+') do whole = whole and not lost(tonumber(number)) end
      if not whole then break end
      cursor = id
    end
  end
  if cursor ~= from then call('SET', base .. 'cursor', cursor) end
  return cursor
end

local function post()
  local holder, envelope, names, ids = ARGV[p], ARGV[p + 1], ARGV[p + 2], ARGV[p + 3]
  p = p + 4
  if not lossless and ids ~= '' then
    local kept, list, at = {}, names ~= '' and numbers(names) or nil, 0
    for id in string.gmatch(ids, '%S+') do
      at = at + 1
      if not lost(list and tonumber(list[at]) or at - 1) then kept[#kept + 1] = id end
    end
    if #kept == 0 then return false end
    ids = table.concat(kept, ' ')
  end
  local mailbox = base .. 'mail:' .. holder
  local entry = call('XADD', mailbox, 'MAXLEN', '~', MAIL_MAX, '*', 'e', envelope, 'w', ids)
  -- A repeated commit may write to a mailbox that was removed with its worker: nobody would remove it again.
  call('EXPIRE', mailbox, MAIL_TTL)
  return entry
end

local function release()
  local holder, n, names = ARGV[p], tonumber(ARGV[p + 1]), ARGV[p + 2]
  local values, first, last = ARGV, p + 3, p + 2 + n
  p = last + 1
  if not lossless and names ~= '' then
    values = {}
    for i, name in ipairs(numbers(names)) do
      if name == '-' or not lost(tonumber(name)) then values[#values + 1] = ARGV[first + i - 1] end
    end
    first, last = 1, #values
  end
  if last < first then return end
  local key = base .. 'released:' .. holder
  send(values, first, last, 'RPUSH', key)
  call('EXPIRE', key, RELEASED_TTL)
end

local function times(does)
  local n = tonumber(ARGV[p])
  p = p + 1
  local replies = {}
  for i = 1, n do replies[i] = does() end
  return replies
end

times(function()
  p = p + 1
  if ARGV[p - 1] == 'W' then write_round() else repair_round() end
end)
for token, ids in pairs(ended) do
  send(ids, 1, #ids, 'HDEL', base .. 'taken:' .. token)
  if next(reserved[token]) == nil then call('ZREM', base .. 'takes', token) end
end
for lane, ids in pairs(rejected) do leave_caps(ids, lane) end
settle(touched)
woke = release_places(freed) or woke
write_events()
if woke then wake('q', '1') end
local cursor = move_cursor()
local posted = times(post)
times(release)
times(function()
  p = p + 4
  local stream, entry, reason, text = ARGV[p - 4], ARGV[p - 3], ARGV[p - 2], ARGV[p - 1]
  call('XADD', base .. 'quarantine', 'MAXLEN', QUARANTINE_MAX, '*',
    'stream', stream, 'entry', entry, 'reason', reason, 'text', text)
end)

local outcomes = ''
if not lossless then
  local letters = {}
  for at = 0, total - 1 do letters[at + 1] = out[at] or 'w' end
  outcomes = table.concat(letters)
end
return { time[1], time[2], '', cursor, outcomes, extras, posted }
