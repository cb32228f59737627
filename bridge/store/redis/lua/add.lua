-- KEYS: meta, values:, keys:, expiry: of the space, spaces.
-- ARGV: space, amount, key, a record without its value, expiry or "". Answers the sum.
-- One that is sent again knows its own by the first 8 bytes, unless another came between.
local key, record = ARGV[7], ARGV[8]
local old = redis.call('HGET', KEYS[2], key)
if old and again and string.sub(old, 1, 8) == string.sub(record, 1, 8) then
  touch()
  return string.sub(old, #record + 1)
end
local sum = string.format('%.0f', (old and tonumber(string.sub(old, #record + 1)) or 0) + ARGV[6])
redis.call('HSET', KEYS[2], key, record .. sum)
redis.call('ZADD', KEYS[3], 0, key)
if ARGV[9] == '' then
  redis.call('ZREM', KEYS[4], key)
else
  redis.call('ZADD', KEYS[4], ARGV[9], key)
end
redis.call('SADD', KEYS[5], ARGV[5])
return sum
