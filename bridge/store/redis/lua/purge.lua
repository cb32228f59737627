-- KEYS: meta, values:, keys:, expiry: of the space. ARGV: now, how many at most. Answers how many.
local old = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[5], 'LIMIT', 0, ARGV[6])
for _, key in ipairs(old) do
  redis.call('HDEL', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
  redis.call('ZREM', KEYS[4], key)
end
return #old
