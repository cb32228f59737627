-- ARGV: surface, cid, position, anchor after a ":" or "", duty, fence or "". Answers 0 where the lease is lost.
local surface, cid, moved = ARGV[4], ARGV[5], tonumber(ARGV[6])
if ARGV[9] ~= '' and redis.call('HGET', tag .. 'lease:' .. ARGV[8], 'fence') ~= ARGV[9] then
  return 0
end
local cursors, anchors = tag .. 'cursor:' .. surface, tag .. 'anchor:' .. surface
local cursor = redis.call('HGET', cursors, cid) or '0'
local digits = string.match(cursor, '^%d+')
local anchor = string.sub(cursor, #digits + 1)
moved = math.max(moved, tonumber(digits))
if ARGV[7] ~= '' and ARGV[7] ~= anchor then
  local old = string.sub(anchor, 2)
  if anchor ~= '' and redis.call('HGET', anchors, old) == cid then
    redis.call('HDEL', anchors, old)
  end
  anchor = ARGV[7]
  redis.call('HSET', anchors, string.sub(anchor, 2), cid)
end
redis.call('HSET', cursors, cid, string.format('%.0f', moved) .. anchor)
if redis.call('SISMEMBER', tag .. 'surfaces', surface) == 1 then
  await(surface, cid, moved)
end
return 1
