-- KEYS: meta, logs, surfaces, behind:, cursor:, anchor: of the surface, lease: of the duty, log: of the conversation.
-- ARGV: surface, cid, position, anchor after a ":" or "", duty, fence or "". Answers 0 where the lease is lost.
local surface, cid, moved = ARGV[5], ARGV[6], tonumber(ARGV[7])
if ARGV[10] ~= '' and redis.call('HGET', tag .. 'lease:' .. ARGV[9], 'fence') ~= ARGV[10] then
  return 0
end
register(surface)
local cursors, anchors = tag .. 'cursor:' .. surface, tag .. 'anchor:' .. surface
local cursor = redis.call('HGET', cursors, cid) or '0'
local digits = string.match(cursor, '^%d+')
local anchor = string.sub(cursor, #digits + 1)
moved = math.max(moved, tonumber(digits))
if ARGV[8] ~= '' and ARGV[8] ~= anchor then
  local old = string.sub(anchor, 2)
  if anchor ~= '' and redis.call('HGET', anchors, old) == cid then
    redis.call('HDEL', anchors, old)
  end
  anchor = ARGV[8]
  redis.call('HSET', anchors, string.sub(anchor, 2), cid)
end
redis.call('HSET', cursors, cid, string.format('%.0f', moved) .. anchor)
await(surface, cid, moved)
return 1
