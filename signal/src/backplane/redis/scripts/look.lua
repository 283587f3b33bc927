-- Reads a room as it is at one version, and which of the peers asked about have left it for good.
-- ARGV: the peers. Answers 'none', or 'room', the room, peers that have left.
if redis.call('EXISTS', room) == 0 then return {'none'} end
local left = {}
for _, peer in ipairs(ARGV) do
  if has_left(peer) then table.insert(left, peer) end
end
return {'room', snapshot(), left}
