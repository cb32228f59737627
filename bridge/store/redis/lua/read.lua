-- KEYS: meta, log: of the conversation. ARGV: after, limit. Answers the count and the entries.
local after = tonumber(ARGV[5])
return {count, redis.call('LRANGE', KEYS[2], after, after + ARGV[6] - 1)}
