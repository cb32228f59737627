-- KEYS: meta, logs, surfaces, behind: of the surface.
-- ARGV: surface, limit. Answers conversations and arrival numbers in turn, the longest waiting first.
register(ARGV[5])
return redis.call('ZRANGE', KEYS[4], 0, ARGV[6] - 1, 'WITHSCORES')
