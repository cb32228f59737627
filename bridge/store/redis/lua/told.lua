-- KEYS[1]: the store's own "meta". ARGV: the log id that every bucket has been told.
if redis.call('HGET', KEYS[1], 'log') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'told', '1')
end
return 1
