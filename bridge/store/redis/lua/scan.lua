-- KEYS: meta, values:, keys: of the space.
-- ARGV: the first key after "[" or "-", where to end after "(" or "+", how many at most.
-- Answers keys and records in turn. Bytes of UTF-8 have the order of code points.
local found = {}
for i, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], ARGV[5], ARGV[6], 'LIMIT', 0, ARGV[7])) do
  found[2 * i - 1] = key
  found[2 * i] = redis.call('HGET', KEYS[2], key)
end
return found
