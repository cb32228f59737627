-- Answers the conversations that have a log.
return redis.call('SMEMBERS', tag .. 'logs')
