--[[ First and last id of the stream ARGV[1], and 1 if entries of it were ever removed: what was trimmed leaves no trace. ]]
--@include prelude
local key = base .. ARGV[1]
if call('EXISTS', key) == 0 then return { '0-0', '0-0', 0 } end
local flat, info = call('XINFO', 'STREAM', key), {}
for at = 1, #flat, 2 do info[flat[at]] = flat[at + 1] end
local first, last = info['first-entry'], info['last-generated-id']
return { first and first[1] or last, last, info['entries-added'] > info['length'] and 1 or 0 }
