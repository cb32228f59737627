-- ARGV: space, amount, key, a record without its value, expiry or "". Answers the sum.
-- One that is sent again knows its own by the first 8 bytes, unless another came between.
local space, key, record = ARGV[4], ARGV[6], ARGV[7]
local old = redis.call('HGET', tag .. 'values:' .. space, key)
if old and again and string.sub(old, 1, 8) == string.sub(record, 1, 8) then
  return string.sub(old, #record + 1)
end
local sum = string.format('%.0f', (old and tonumber(string.sub(old, #record + 1)) or 0) + ARGV[5])
redis.call('HSET', tag .. 'values:' .. space, key, record .. sum)
redis.call('ZADD', tag .. 'keys:' .. space, 0, key)
if ARGV[8] == '' then
  redis.call('ZREM', tag .. 'expiry:' .. space, key)
else
  redis.call('ZADD', tag .. 'expiry:' .. space, ARGV[8], key)
end
redis.call('SADD', tag .. 'spaces', space)
return sum
