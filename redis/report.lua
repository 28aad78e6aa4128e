--[[
Appends a worker's signed report. ARGV: holder, envelope, '1' and the hint for distributors, or '0' and nothing.
]]
--@include prelude
--@include lanes
--@include released
-- Far more than coordinators leave unread; what is cut off beyond it is sent again until it is released.
local REPORTS_MAX = 1000000
local entry = call('XADD', base .. 'reports', 'MAXLEN', '~', REPORTS_MAX, '*', 'e', ARGV[2])
if ARGV[3] == '1' then wake('h', ARGV[4]) end
return { call('TIME'), entry, pop_released(ARGV[1]) }
