-- KEYS: meta, lease: of the duty.
-- ARGV: owner, microseconds, milliseconds until it may be forgotten. Answers the fence, or nothing.
local at = now()
local lease = redis.call('HMGET', KEYS[2], 'owner', 'fence', 'until', 'lives')
local fence = lease[2]
if lease[1] ~= ARGV[5] then
  local left = lease[1] and lease[3] - at
  if left and left > 0 and left <= tonumber(lease[4]) then -- more than it lives was left by another clock
    return false
  end
  fence = number()
  touch()
end
local ends = string.format('%.0f', at + ARGV[6])
redis.call('HSET', KEYS[2], 'owner', ARGV[5], 'fence', fence, 'until', ends, 'lives', ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return fence
