-- What every script begins with. KEYS[1] is the bucket's "meta", whose tag all its other keys share. KEYS has all
-- that the script touches: while a Cluster moves the bucket, a script is refused before it has done anything.
-- ARGV: the log id; whether this was sent before; what the sender has seen, which is the bucket's count of appends,
-- and of the logs that are the last of KEYS an entry each, seq and mark in turn (MessagePack); then the script's own.
--
-- meta            log: the log id; count: appends so far; last: the highest arrival number given
-- logs            sorted set of conversations that have a log, by the arrival number of their first entry
-- log:CID         list of entries, the one with seq n at n - 1: 16 digits of arrival number, 8 letters that no
--                 other append has, its mark, then JSON
-- due             sorted set of conversations by moment
-- surfaces        set of pushed surfaces that have ever asked what they are behind with, or have a cursor
-- cursor:SURFACE  hash of conversation to "position" or "position:anchor"
-- anchor:SURFACE  hash of anchor to conversation
-- behind:SURFACE  sorted set of conversations by the arrival number of the entry they wait for
-- lease:DUTY      hash of owner, fence, until, lives
-- spaces          set of spaces of records whose home this bucket is
-- values:SPACE    hash of key to record; keys:SPACE, sorted set for their order; expiry:SPACE, by moment
local tag = string.sub(KEYS[1], 1, -5)
local again = ARGV[2] == '1'
local meta = redis.call('HMGET', KEYS[1], 'log', 'count', 'last')
if meta[1] ~= ARGV[1] then
  return redis.error_reply('OTHERLOG ' .. (meta[1] or 'none'))
end
local count, last = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
if count < tonumber(ARGV[3]) then
  return redis.error_reply('WENTBACK from ' .. ARGV[3] .. ' to ' .. count)
end
local seen = cmsgpack.unpack(ARGV[4])
for i = 1, #seen / 2 do -- another entry in the place of one that was seen is no less a loss than none
  local seq, log = seen[2 * i - 1], KEYS[#KEYS - #seen / 2 + i]
  if seq > 0 and string.sub(redis.call('LINDEX', log, seq - 1) or '', 17, 24) ~= seen[2 * i] then
    return redis.error_reply('WENTBACK to before entry ' .. seq .. ' of ' .. log)
  end
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Rises whatever the clock does: the order in which entries came, and fences.
local function number()
  last = math.max(last + 1, now())
  return string.format('%016.0f', last)
end

-- WAIT speaks of what its own connection has written: who finds everything done writes something all the same.
local function touch()
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', last))
end

-- From here on every append keeps what `surface` waits for. It has shown nothing yet: that is the first of each log.
local function register(surface)
  if redis.call('SADD', tag .. 'surfaces', surface) == 1 then
    redis.call('ZUNIONSTORE', tag .. 'behind:' .. surface, 1, tag .. 'logs')
  end
end

-- Keep what `surface` waits for in this conversation: its place is that of the entry after `position`.
local function await(surface, cid, position)
  local entry = redis.call('LINDEX', tag .. 'log:' .. cid, position)
  if entry then
    redis.call('ZADD', tag .. 'behind:' .. surface, string.sub(entry, 1, 16), cid)
  else
    redis.call('ZREM', tag .. 'behind:' .. surface, cid)
  end
end
