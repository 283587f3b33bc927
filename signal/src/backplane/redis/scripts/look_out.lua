-- Reads a room, and notes that a node looks out for somebody in it if nobody with a living socket is there.
-- ARGV: the node, milliseconds for which it does. Answers 'none', or 'room', the room.
local texts = redis.call('HVALS', members)
for _, text in ipairs(texts) do
  if parse(text).away == '0' then return {'room', snapshot()} end
end
redis.call('SADD', awaited, ARGV[1])
redis.call('PEXPIRE', awaited, ARGV[2])
if redis.call('EXISTS', room) == 0 then return {'none'} end
return {'room', snapshot()}
