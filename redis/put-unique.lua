-- Puts unique keys of a snapshot back, where none stands: ARGV = key, `id digest`, milliseconds, for each.
--@include prelude
for at = 1, #ARGV, 3 do
  call('SET', base .. 'u:' .. ARGV[at], ARGV[at + 1], 'NX', 'PX', ARGV[at + 2])
end
