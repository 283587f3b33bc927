-- Deletes a key of a dead node, if the caller has the claim to reap it: first its index, last the claim itself.
-- KEYS: what to delete, the reaper. ARGV: who reaps. Answers 1 if the caller had the claim.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
