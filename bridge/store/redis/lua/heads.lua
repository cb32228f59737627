-- KEYS: meta, log: of each conversation. Answers the count, and the head of each: 0 where there is no log.
local heads = {}
for i = 2, #KEYS do
  heads[#heads + 1] = redis.call('LLEN', KEYS[i])
end
return {count, heads}
