-- ARGV: duty, owner, microseconds, milliseconds until it may be forgotten. Answers the fence, or nothing.
local key, at = tag .. 'lease:' .. ARGV[4], now()
local lease = redis.call('HMGET', key, 'owner', 'fence', 'until')
local fence = lease[2]
if lease[1] ~= ARGV[5] then
  if lease[1] and at < tonumber(lease[3]) then
    return false
  end
  fence = number()
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', last))
end
redis.call('HSET', key, 'owner', ARGV[5], 'fence', fence, 'until', string.format('%.0f', at + ARGV[6]))
redis.call('PEXPIRE', key, ARGV[7])
return fence
