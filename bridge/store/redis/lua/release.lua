-- ARGV: duty, owner.
local key = tag .. 'lease:' .. ARGV[4]
if redis.call('HGET', key, 'owner') == ARGV[5] then
  redis.call('DEL', key)
end
return count
