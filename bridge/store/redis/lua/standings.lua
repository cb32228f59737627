-- ARGV: cids. Answers for each its head, due moment or "", then surfaces and their cursors in turn.
local surfaces, found = redis.call('SMEMBERS', tag .. 'surfaces'), {}
for i = 4, #ARGV do
  local cid = ARGV[i]
  local due = redis.call('ZSCORE', tag .. 'due', cid)
  local one = {redis.call('LLEN', tag .. 'log:' .. cid), due and string.format('%.0f', due) or ''}
  for _, surface in ipairs(surfaces) do
    local cursor = redis.call('HGET', tag .. 'cursor:' .. surface, cid)
    if cursor then
      one[#one + 1] = surface
      one[#one + 1] = cursor
    end
  end
  found[#found + 1] = one
end
return found
