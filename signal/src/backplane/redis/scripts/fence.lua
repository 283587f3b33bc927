-- Before each script that changes a room: refuses what was held up on its way until the lease of the node that sent it
-- had ended. Its peers may have been taken over by then, and what it says of them is no longer its to say.
-- The last of ARGV: when that lease ends, by this clock. Answers 'late', or goes on.
if now() >= tonumber(ARGV[#ARGV]) then return {'late'} end
