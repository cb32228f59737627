-- ARGV: cid, after, limit. Answers the count and the entries.
local after = tonumber(ARGV[5])
return {count, redis.call('LRANGE', tag .. 'log:' .. ARGV[4], after, after + ARGV[6] - 1)}
