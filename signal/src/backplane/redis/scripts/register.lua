-- A registered name, for a time since it was last seen: it is its owner's, and stays so as long as it is seen.
-- KEYS: the name. ARGV: the owner, or '' for whoever it is; milliseconds.
-- Answers 1 if it is the owner's: now, or registered before; 0 if it is somebody else's, or, if no owner is named, nobody's.
local owner = redis.call('GET', KEYS[1])
if not owner then
  if ARGV[1] == '' then return 0 end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
if ARGV[1] ~= '' and owner ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
