-- ARGV: how to publish, where, the sender; then for each append: cid, after, due or "", how many, entries.
-- Answers the count, and for each append the head it met: it was carried out where that is its `after`.
local heads, grown, surfaces = {}, {}, nil
local at = 7
while at < #ARGV do
  local cid, after, due, many = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  local log = tag .. 'log:' .. cid
  local head = redis.call('LLEN', log)
  local there = again and head >= after + many
  if there then -- sent before, and the answer was lost
    for i, entry in ipairs(redis.call('LRANGE', log, after, after + many - 1)) do
      there = there and string.sub(entry, 17) == ARGV[at + 3 + i]
    end
  end
  if there then
    heads[#heads + 1] = after
  elseif head ~= after then
    heads[#heads + 1] = head
  else
    for i = 1, many do
      redis.call('RPUSH', log, number() .. ARGV[at + 3 + i])
    end
    if after == 0 then
      redis.call('SADD', tag .. 'logs', cid)
    end
    if due == '' then
      redis.call('ZREM', tag .. 'due', cid)
    else
      redis.call('ZADD', tag .. 'due', due, cid)
    end
    surfaces = surfaces or redis.call('SMEMBERS', tag .. 'surfaces')
    for _, surface in ipairs(surfaces) do
      if not redis.call('ZSCORE', tag .. 'behind:' .. surface, cid) then -- who waits keeps its place
        await(surface, cid, position(surface, cid))
      end
    end
    count = count + 1
    heads[#heads + 1] = after
    grown[#grown + 1] = cid
    grown[#grown + 1] = after + many
  end
  at = at + 4 + many
end
if #grown > 0 then
  redis.call('HSET', KEYS[1], 'count', count, 'last', string.format('%.0f', last))
  redis.call(ARGV[4], ARGV[5], cmsgpack.pack({ARGV[6], 'grew', grown}))
end
return {count, heads}
