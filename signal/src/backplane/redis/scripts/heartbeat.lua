-- Renews a node's lease, unless somebody is reaping it: a node that was taken for dead does not live again before its
-- peers are all taken over.
-- KEYS: the lease, the reaper. ARGV: the lease's milliseconds. Answers 1, or 0 if the node is being reaped.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
