-- KEYS: meta, log: of the conversation. A small write behind the log's own.
touch()
return count
