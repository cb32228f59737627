-- KEYS: meta, due, log: of the conversation. ARGV: cid, due or "", head.
local head = redis.call('LLEN', KEYS[3])
if head > 0 and head <= tonumber(ARGV[7]) then
  if ARGV[6] == '' then
    redis.call('ZREM', KEYS[2], ARGV[5])
  else
    redis.call('ZADD', KEYS[2], ARGV[6], ARGV[5])
  end
end
return count
