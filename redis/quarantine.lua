--[[ Keeps what failed a check for people to look at: ARGV are groups of stream, entry, reason, text. ]]
--@include prelude
local QUARANTINE_MAX = 1000
for at = 1, #ARGV, 4 do
  call('XADD', base .. 'quarantine', 'MAXLEN', QUARANTINE_MAX, '*',
    'stream', ARGV[at], 'entry', ARGV[at + 1], 'reason', ARGV[at + 2], 'text', ARGV[at + 3])
end
