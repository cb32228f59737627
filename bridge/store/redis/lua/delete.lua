-- ARGV: space, key.
redis.call('HDEL', tag .. 'values:' .. ARGV[4], ARGV[5])
redis.call('ZREM', tag .. 'keys:' .. ARGV[4], ARGV[5])
redis.call('ZREM', tag .. 'expiry:' .. ARGV[4], ARGV[5])
return count
