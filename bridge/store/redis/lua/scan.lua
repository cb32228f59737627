-- ARGV: space, the first key after "[" or "-", where to end after "(" or "+", how many at most.
-- Answers keys and records in turn. Bytes of UTF-8 have the order of code points.
local found = {}
local keys = redis.call('ZRANGEBYLEX', tag .. 'keys:' .. ARGV[4], ARGV[5], ARGV[6], 'LIMIT', 0, ARGV[7])
for i, key in ipairs(keys) do
  found[2 * i - 1] = key
  found[2 * i] = redis.call('HGET', tag .. 'values:' .. ARGV[4], key)
end
return found
