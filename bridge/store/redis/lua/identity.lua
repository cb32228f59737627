-- KEYS[1]: the store's own "meta". ARGV: the log id that is to be replaced or "", a new one, buckets, version.
-- Answers the log id, buckets, version and whether every bucket has been told the log id.
local log = redis.call('HGET', KEYS[1], 'log')
if not log then
  redis.call('HSET', KEYS[1], 'log', ARGV[2], 'buckets', ARGV[3], 'version', ARGV[4])
elseif log == ARGV[1] then
  redis.call('HSET', KEYS[1], 'log', ARGV[2])
  redis.call('HDEL', KEYS[1], 'told')
end
return redis.call('HMGET', KEYS[1], 'log', 'buckets', 'version', 'told')
