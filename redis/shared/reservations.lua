-- Reservations: `takes` (token by expiry) and `taken:<token>` (id to `score lane`). What is given back stands in its
-- lane again at its old place, unless it is no longer queued or has entered the lane anew in the meantime.

-- Tasks whose reservation has ended leave their caps, unless a worker has them by now.
local function leave_caps_unless_active(ids, lanes, metas)
  local leaving = {}
  for n, id in ipairs(ids) do
    if not is_active(metas[n]) then
      local of_lane = leaving[lanes[n]] or {}
      leaving[lanes[n]] = of_lane
      of_lane[#of_lane + 1] = id
    end
  end
  for lane, of_lane in pairs(leaving) do leave_caps(of_lane, lane) end
end

-- Ends the reservation of these ids (flat pairs id, `score lane`). Answers how many there were, and whether any came
-- back. Their places in caps are free then; the caller releases them when its lanes are settled.
local function put_back(token, pairs_held, touched)
  local ids, from, lanes, key = {}, {}, {}, base .. 'taken:' .. token
  for at = 1, #pairs_held, 2 do ids[#ids + 1] = pairs_held[at] end
  if #ids == 0 then return 0, false end
  local metas = metas_of(ids)
  for n, id in ipairs(ids) do
    local score, lane = string.match(pairs_held[2 * n], '^(%S+) (.*)$')
    from[n] = lane
    if is_queued(metas[n]) then
      local adds = lanes[lane] or {}
      lanes[lane] = adds
      adds[#adds + 1] = score
      adds[#adds + 1] = id
    end
  end
  leave_caps_unless_active(ids, from, metas)
  send(ids, 1, #ids, 'HDEL', key)
  if call('EXISTS', key) == 0 then call('ZREM', base .. 'takes', token) end
  local back = 0
  for lane, adds in pairs(lanes) do
    back = back + send(adds, 1, #adds, 'ZADD', base .. 'lane:' .. lane, 'NX')
    touched[lane] = true
  end
  return #ids, back > 0
end

-- Gives back every reservation that has run out at `now` (milliseconds). Answers how many tasks.
local function expire_reservations(now)
  local count, touched, woke = 0, {}, false
  for _, token in ipairs(call('ZRANGEBYSCORE', base .. 'takes', '-inf', now)) do
    local n, back = put_back(token, call('HGETALL', base .. 'taken:' .. token), touched)
    -- A token without tasks is only a name that was left over.
    if n == 0 then call('ZREM', base .. 'takes', token) end
    count = count + n
    woke = woke or back
  end
  settle(touched)
  if release_places(freed) or woke then wake('q', '1') end
  return count
end

local function milliseconds(time)
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
