-- Before each script of a room. KEYS: the room, its members, who has left it, who looks out for somebody in it.
--
-- A member is written claim|born|listed|away|hold|node|had by|profile, the last node but one that had it. Only the profile may hold a bar. Claims and versions
-- are milliseconds since 1970 and some changes, so they stay far below the 2^53 that a Lua number holds; the creation
-- number does not, and is compared as text.
local room, members, gone, awaited = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function parse(text)
  local claim, born, listed, away, hold, node, had_by, profile =
    string.match(text, '^(%d+)|(%d+)|([01])|([01])|(%d+)|([^|]*)|([^|]*)|(.*)$')
  return {
    claim = claim, born = born, listed = listed, away = away, hold = hold, node = node, had_by = had_by,
    profile = profile
  }
end

local function write(peer, m)
  redis.call('HSET', members, peer,
    table.concat({m.claim, m.born, m.listed, m.away, m.hold, m.node, m.had_by, m.profile}, '|'))
end

local function member(peer)
  local text = redis.call('HGET', members, peer)
  return text and parse(text)
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The two places where a version is made. A room begins at the clock, or above what somebody remembers of it.
local function begin(at)
  local version = string.format('%.0f', at)
  redis.call('HSET', room, 'version', version, 'began', version)
end

-- Each change of it raises the version by one.
local function next_version()
  return string.format('%.0f', redis.call('HINCRBY', room, 'version', 1))
end

local function has_left(peer)
  local until_when = redis.call('ZSCORE', gone, peer)
  return until_when and tonumber(until_when) > now()
end

-- A room without members: it ends after this time, all of it at once.
local function ends_after(milliseconds)
  redis.call('PEXPIRE', room, milliseconds)
  redis.call('PEXPIRE', gone, milliseconds)
end

local function make(made, limit, record, empty_for)
  redis.call('DEL', members, gone)
  redis.call('HSET', room, 'made', made, 'limit', limit, 'record', record)
  begin(now())
  ends_after(empty_for)
end

-- Version, version at which it began, record, members as name and text in turn.
local function snapshot()
  local fields = redis.call('HMGET', room, 'version', 'began', 'record')
  return {fields[1], fields[2], fields[3], redis.call('HGETALL', members)}
end
