-- KEYS: meta, values:, keys:, expiry: of the space, spaces.
-- ARGV: space, whether only where the key is free, then for each: key, record, expiry or "". Answers how many.
-- A record begins with 8 bytes that name the call, by which one that is sent again knows its own.
local values, keys, expiry, stored = KEYS[2], KEYS[3], KEYS[4], 0
for at = 7, #ARGV, 3 do
  local key, record = ARGV[at], ARGV[at + 1]
  local old = ARGV[6] == '1' and redis.call('HGET', values, key)
  if not old then
    redis.call('HSET', values, key, record)
    redis.call('ZADD', keys, 0, key)
    if ARGV[at + 2] == '' then
      redis.call('ZREM', expiry, key)
    else
      redis.call('ZADD', expiry, ARGV[at + 2], key)
    end
    stored = stored + 1
  elseif again and string.sub(old, 1, 8) == string.sub(record, 1, 8) then
    stored = stored + 1
  end
end
if stored > 0 then
  redis.call('SADD', KEYS[5], ARGV[5])
end
touch()
return stored
