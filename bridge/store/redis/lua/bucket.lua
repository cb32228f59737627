-- What every script begins with. KEYS[1] is the bucket's "meta", whose tag all its other keys share.
-- ARGV: the log id, whether this was sent before, the highest count seen of this bucket, then its own.
--
-- meta            log: the log id; count: appends so far; last: the highest arrival number given
-- logs            set of conversations that have a log
-- log:CID         list of entries, the one with seq n at n - 1: 16 digits of arrival number, then JSON
-- due             sorted set of conversations by moment
-- surfaces        set of pushed surfaces that have ever asked what they are behind with
-- cursor:SURFACE  hash of conversation to "position" or "position:anchor"
-- anchor:SURFACE  hash of anchor to conversation
-- behind:SURFACE  sorted set of conversations by the arrival number of the entry they wait for
-- lease:DUTY      hash of owner, fence, until
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

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Rises whatever the clock does: the order in which entries came, and fences.
local function number()
  last = math.max(last + 1, now())
  return string.format('%016.0f', last)
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

local function position(surface, cid)
  return tonumber(string.match(redis.call('HGET', tag .. 'cursor:' .. surface, cid) or '0', '^%d+'))
end
