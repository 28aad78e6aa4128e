--[[
Writes schedule ARGV[1] under the version that must stand (ARGV[2], '0' = none may): text ARGV[4], due at ARGV[5] ('' =
never). ARGV[3] = '1' removes it. A repeated write finds its own text one version on, or nothing left to remove. 1 or 0.
]]
--@include prelude
local key, expect, removes, text, due = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4], ARGV[5]
local time = call('TIME')
local entry = call('HGET', base .. 'schedules', key)
local version, stands = 0, nil
if entry then
  local number
  number, stands = string.match(entry, '^(%d+) (.*)$')
  version = tonumber(number)
end
if removes and not entry then return { time, 1 } end
if not removes and version == expect + 1 and stands == text then return { time, 1 } end
if version ~= expect then return { time, 0 } end
if removes then
  call('HDEL', base .. 'schedules', key)
  call('ZREM', base .. 'schedule-due', key)
  return { time, 1 }
end
call('HSET', base .. 'schedules', key, string.format('%d %s', expect + 1, text))
if due == '' then call('ZREM', base .. 'schedule-due', key) else call('ZADD', base .. 'schedule-due', due, key) end
return { time, 1 }
