-- Puts a peer into a room, or takes it over from whoever has the claim that the caller names; nobody else loses it.
-- One who comes back keeps its place and what was said of it, and is listed if it was or is to be. A room that somebody
-- is in does not end by itself.
-- Refuses, in this order: 'no room' (none, or another one under its name), 'gone', 'superseded', 'full'.
-- ARGV: peer, creation number, claim taken over or '', node, hold, listed, away, profile, members at most,
--       and to make the room if there is none: creation number or '', limit, record, milliseconds as an empty room,
--       how far the caller knows it to have come or '0'; and when the caller knows the peer to have first come or ''.
-- Answers 'joined', the room, node that had the peer so far or '', its hold, nodes that looked out for somebody (once;
-- not if the peer is away).
local peer, over, remembered = ARGV[1], ARGV[3], tonumber(ARGV[14])
local made = redis.call('HGET', room, 'made')
if not made and ARGV[10] ~= '' then
  make(ARGV[10], ARGV[11], ARGV[12], ARGV[13])
  made = ARGV[10]
end
if made ~= ARGV[2] then return {'no room'} end
if has_left(peer) then return {'gone'} end

local held = member(peer)
if (held and held.claim or '') ~= over then return {'superseded'} end
local limit, most = tonumber(redis.call('HGET', room, 'limit')), tonumber(ARGV[9])
if limit == 0 or limit > most then limit = most end
if not held and redis.call('HLEN', members) >= limit then return {'full'} end

-- All of it was lost, or the newest.
if remembered > tonumber(redis.call('HGET', room, 'version')) then begin(remembered + 1) end
local version = next_version()
local born = ARGV[15] ~= '' and ARGV[15] or version
local m = { claim = version, born = born, listed = ARGV[6], away = ARGV[7], hold = ARGV[5], node = ARGV[4],
  had_by = '', profile = ARGV[8] }
if held then
  m.born, m.had_by, m.profile = held.born, held.node, held.profile
  if held.listed == '1' then m.listed = '1' end
end
write(peer, m)
redis.call('PERSIST', room)
redis.call('PERSIST', gone)
local awaited_by = {}
if m.away == '0' then
  awaited_by = redis.call('SMEMBERS', awaited)
  redis.call('DEL', awaited)
end
return {'joined', snapshot(), held and held.node or '', held and held.hold or '0', awaited_by}
