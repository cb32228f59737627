-- KEYS: meta, due. ARGV: now, limit. Answers conversations and moments in turn, the earliest first.
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[5], 'WITHSCORES', 'LIMIT', 0, ARGV[6])
