-- ARGV: now, how many at most. Answers how many.
local purged, limit = 0, tonumber(ARGV[5])
for _, space in ipairs(redis.call('SMEMBERS', tag .. 'spaces')) do
  local old = redis.call('ZRANGEBYSCORE', tag .. 'expiry:' .. space, '-inf', ARGV[4], 'LIMIT', 0, limit - purged)
  for _, key in ipairs(old) do
    redis.call('HDEL', tag .. 'values:' .. space, key)
    redis.call('ZREM', tag .. 'keys:' .. space, key)
    redis.call('ZREM', tag .. 'expiry:' .. space, key)
  end
  purged = purged + #old
end
return purged
