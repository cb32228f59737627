-- KEYS: meta, logs, due, surfaces, behind:, cursor: of each surface that the sender knows, log: of each conversation.
-- ARGV: how to publish, where, the sender, the surfaces it knows (MessagePack); then for each append: cid, after, due
-- or "", how many, entries. Answers the count, and beside it for each append the head it met, carried out where that
-- is its `after`; or the names of all surfaces, where the sender did not know them: then nothing is done.
local verb, channel, sender, listed = unpack(cmsgpack.unpack(ARGV[5]))
local known, surfaces = {}, redis.call('SMEMBERS', tag .. 'surfaces')
for _, surface in ipairs(listed) do
  known[surface] = true
end
for _, surface in ipairs(surfaces) do
  if not known[surface] then
    return {count, surfaces}
  end
end
local heads, grown = {}, {}
local at = 6
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
      local came = number()
      redis.call('RPUSH', log, came .. ARGV[at + 3 + i])
      if after + i == 1 then
        redis.call('ZADD', tag .. 'logs', came, cid)
      end
    end
    if due == '' then
      redis.call('ZREM', tag .. 'due', cid)
    else
      redis.call('ZADD', tag .. 'due', due, cid)
    end
    for _, surface in ipairs(surfaces) do
      if not redis.call('ZSCORE', tag .. 'behind:' .. surface, cid) then -- who waits keeps its place
        local cursor = redis.call('HGET', tag .. 'cursor:' .. surface, cid) or '0'
        await(surface, cid, tonumber(string.match(cursor, '^%d+')))
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
  redis.call(verb, channel, cmsgpack.pack({sender, 'grew', grown}))
elseif again then
  touch()
end
return {count, heads}
