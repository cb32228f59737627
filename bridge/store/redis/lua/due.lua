-- ARGV: now, limit. Answers conversations and moments in turn, the earliest first.
return redis.call('ZRANGEBYSCORE', tag .. 'due', '-inf', ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
