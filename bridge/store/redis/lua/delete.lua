-- KEYS: meta, values:, keys:, expiry: of the space. ARGV: key.
redis.call('HDEL', KEYS[2], ARGV[5])
redis.call('ZREM', KEYS[3], ARGV[5])
redis.call('ZREM', KEYS[4], ARGV[5])
touch()
return count
