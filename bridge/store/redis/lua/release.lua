-- KEYS: meta, lease: of the duty. ARGV: owner.
if redis.call('HGET', KEYS[2], 'owner') == ARGV[5] then
  redis.call('DEL', KEYS[2])
end
return count
