-- Changes a membership, if the caller's claim holds it. The claim stays what it is.
-- ARGV: peer, claim, 'listed' or 'away' or 'profile', the profile. Answers 'changed', version; 'no room'; 'superseded'.
if redis.call('EXISTS', room) == 0 then return {'no room'} end
local m = member(ARGV[1])
if not m or m.claim ~= ARGV[2] then return {'superseded'} end
m[ARGV[3]] = ARGV[3] == 'profile' and ARGV[4] or '1'
write(ARGV[1], m)
return {'changed', next_version()}
