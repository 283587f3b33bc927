-- Renews a node's lease, unless somebody is reaping it, or has reaped it since it began its life: a node that was taken
-- for dead does not live again before its peers are all taken over, and not without knowing that it was.
-- KEYS: the lease, the reaper, the life. ARGV: the lease's milliseconds, the life, its milliseconds, 1 to begin it.
-- Answers 'alive' and when the lease ends; 'being reaped'; 'forgotten'.
if redis.call('EXISTS', KEYS[2]) == 1 then return {'being reaped', 0} end
if ARGV[4] ~= '1' and redis.call('GET', KEYS[3]) ~= ARGV[2] then return {'forgotten', 0} end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local time = redis.call('TIME')
return {'alive', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]}
