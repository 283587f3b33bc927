-- Notes a membership that a node is about to have, if its lease has not ended: what is noted later is seen by nobody
-- who takes over its peers, and may outlive it.
-- KEYS: the lease, the index. ARGV: the membership. Answers 1 if it is noted.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
