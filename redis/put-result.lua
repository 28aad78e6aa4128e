--[[
Keeps a worker's result until a commit adopts it: ARGV = name behind `out:`, text, milliseconds. Only for a Redis that is
out of memory, which refuses the plain command: the work is done, and its task ends only with the result.
]]
--@include prelude
call('SET', base .. 'out:' .. ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
