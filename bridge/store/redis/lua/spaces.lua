-- Answers the spaces that hold records.
local found = {}
for _, space in ipairs(redis.call('SMEMBERS', tag .. 'spaces')) do
  if redis.call('EXISTS', tag .. 'values:' .. space) == 1 then
    found[#found + 1] = space
  end
end
return found
