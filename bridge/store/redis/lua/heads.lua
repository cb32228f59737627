-- ARGV: cids. Answers the count, and the head of each: 0 where there is no log.
local heads = {}
for i = 4, #ARGV do
  heads[#heads + 1] = redis.call('LLEN', tag .. 'log:' .. ARGV[i])
end
return {count, heads}
