-- ARGV: surface, limit. Answers conversations and arrival numbers in turn, the longest waiting first.
local surface = ARGV[4]
if redis.call('SADD', tag .. 'surfaces', surface) == 1 then -- from here on every append keeps what it waits for
  for _, cid in ipairs(redis.call('SMEMBERS', tag .. 'logs')) do
    await(surface, cid, position(surface, cid))
  end
end
return redis.call('ZRANGE', tag .. 'behind:' .. surface, 0, ARGV[5] - 1, 'WITHSCORES')
