-- What happened to the system, in the event stream of tasks: `s` says what, `n` names it, `i` is a text about it. Readers of
-- task changes look at `e` only.
local TOLD_MAX = 100000

local function tell(what, name, text)
  call('XADD', base .. 'events', 'MAXLEN', '~', TOLD_MAX, '*', 's', what, 'n', name, 'i', text)
end
