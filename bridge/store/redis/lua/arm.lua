-- ARGV: cid, due or "", head.
local head = redis.call('LLEN', tag .. 'log:' .. ARGV[4])
if head > 0 and head <= tonumber(ARGV[6]) then
  if ARGV[5] == '' then
    redis.call('ZREM', tag .. 'due', ARGV[4])
  else
    redis.call('ZADD', tag .. 'due', ARGV[5], ARGV[4])
  end
end
return count
