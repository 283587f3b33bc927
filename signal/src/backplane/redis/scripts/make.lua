-- Makes a room, unless there is one. It remembers nothing of an earlier room of its name, and
-- ends after its time as an empty room unless somebody comes.
-- ARGV: creation number, limit, record, milliseconds as an empty room. Answers 'made' or 'taken'.
if redis.call('EXISTS', room) == 1 then return {'taken'} end
make(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return {'made'}
