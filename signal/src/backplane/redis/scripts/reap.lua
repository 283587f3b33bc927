-- Claims the reaping of a node whose lease is gone, and ends its life; or goes on with it. One node at a time has the
-- claim, and a reaper that dies gives it up by its expiry.
-- KEYS: the lease, the reaper, the life. ARGV: who reaps, milliseconds. Answers 1 if the caller has the claim.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local reaper = redis.call('GET', KEYS[2])
if reaper and reaper ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3])
return 1
