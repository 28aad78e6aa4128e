--[[
Changes limits of caps; ARGV: how, fence, then pairs of a name and its limit ('' = none).
  introduce  only where no limit stands, and no fence: a limit is there before the first task that it bounds
  replace    all of them, under the owner's epoch
  lower      under the ledger's version; no limit rises
  set        these, under the ledger's version
A version older than the one written last is refused. Answers whether it was done, and how many tasks each named cap has
now: where a limit is lowered, that is what it must still be counted with.
]]
--@include prelude
--@include lanes
--@include caps
local how, fence = ARGV[1], ARGV[2]
local key, changed = base .. 'caps', {}

local function write(name, limit)
  local old = call('HGET', key, name)
  if how == 'introduce' and old then return end
  if how == 'lower' and old and tonumber(old) <= tonumber(limit) then return end
  if (old or '') == limit then return end
  changed[name] = true
  if limit == '' then call('HDEL', key, name) else call('HSET', key, name, limit) end
end

if how == 'replace' then
  if call('HGET', base .. 'owner', 'epoch') ~= fence then return { 0 } end
elseif how ~= 'introduce' then
  if tonumber(call('GET', base .. 'caps-version') or 0) > tonumber(fence) then return { 0 } end
  call('SET', base .. 'caps-version', fence)
end

local named = {}
for at = 3, #ARGV, 2 do
  named[ARGV[at]] = true
  write(ARGV[at], ARGV[at + 1])
end
if how == 'replace' then
  for _, name in ipairs(call('HKEYS', key)) do
    if not named[name] then
      changed[name] = true
      call('HDEL', key, name)
    end
  end
end

-- Whether the limit of this cap is not what it was.
local function is_changed(cap)
  local kind = string.sub(cap, 1, 1)
  return changed[cap] or changed[kind] or changed[string.match(cap, '^[^|]*|[^|]*')]
end

local looked_at = {}
if next(changed) then
  for _, cap in ipairs(call('HVALS', base .. 'capped-by')) do
    if is_changed(cap) then looked_at[cap] = true end
  end
end
if release_places(looked_at) then wake('q', '1') end

local used = { 1 }
for at = 3, #ARGV, 2 do used[#used + 1] = call('ZCARD', base .. 'cap:' .. ARGV[at]) end
return used
