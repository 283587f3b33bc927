-- Ends a membership, if the caller's claim holds it. The last one to leave sets the room's end.
-- ARGV: peer, claim, milliseconds for which the peer is not taken back or '0', milliseconds as an empty room.
-- Answers 'left', version, node that had the peer, its hold; 'no room'; 'superseded'.
if redis.call('EXISTS', room) == 0 then return {'no room'} end
local peer, m = ARGV[1], member(ARGV[1])
if not m or m.claim ~= ARGV[2] then return {'superseded'} end
local version, time = next_version(), now()
redis.call('HDEL', members, peer)
redis.call('ZREMRANGEBYSCORE', gone, '-inf', time)
if ARGV[3] ~= '0' then redis.call('ZADD', gone, time + ARGV[3], peer) end
-- Of those who have left, so many are remembered; then those who left longest ago may come back.
redis.call('ZREMRANGEBYRANK', gone, 0, -10001)
if redis.call('HLEN', members) == 0 then ends_after(ARGV[4]) end
return {'left', version, m.node, m.hold}
