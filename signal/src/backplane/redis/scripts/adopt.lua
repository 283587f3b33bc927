-- Takes over a peer, if it is still held as the index of its node says: whatever else has happened to it, by its node
-- come back or by another reaper, wins. Of any number of callers one is told that it has the peer; it may ask again if
-- it did not hear the answer.
-- ARGV: peer, node that had it, its hold, node that takes it, its hold.
-- Answers 'adopted', the room, who had it before that node or ''; or 'not held'.
local m = member(ARGV[1])
local ours = m and m.node == ARGV[4] and m.hold == ARGV[5]
if not ours then
  if not m or m.node ~= ARGV[2] or m.hold ~= ARGV[3] then return {'not held'} end
  m.node, m.hold, m.claim, m.away = ARGV[4], ARGV[5], next_version(), '1'
  write(ARGV[1], m)
end
return {'adopted', snapshot(), m.had_by}
