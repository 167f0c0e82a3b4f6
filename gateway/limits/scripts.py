"""What Valkey runs: each script is one step that nobody sees half done, by Valkey's own clock. Pure.

They count as :mod:`gateway.limits.counts` does, and the same tests drive both. Keys are handed in, values are numbers
and names of ours; every key runs out by itself.
"""

from typing import Final

ADMIT: Final = """
-- KEYS tat, leases, reserved, spent
-- ARGV interval (us; 0 = no limit), burst, streams, tokens a day (-1 = no limit), tokens wished (-1 = count only),
--      lease, its life (ms)
-- returns which limit would be passed, how far the TAT is ahead (us), the tokens granted
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local ahead = 0
if interval > 0 then
  local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
  local after = tat + interval
  if after - burst * interval > now + 1 then
    return {'rate', string.format('%.0f', tat - now), 0}
  end
  redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil((after - now) / 1000))
  ahead = after - now
end
ahead = string.format('%.0f', ahead)
local streams, a_day, wished = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if wished < 0 then
  return {'', ahead, 0}
end
local now_ms = math.floor(now / 1000)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms)) do
  redis.call('HDEL', KEYS[3], dead)
  redis.call('ZREM', KEYS[2], dead)
end
if streams >= 0 and redis.call('ZCARD', KEYS[2]) >= streams then
  return {'streams', ahead, 0}
end
local granted = wished
if a_day >= 0 then
  local left = a_day - tonumber(redis.call('GET', KEYS[4]) or '0')
  for _, set_aside in ipairs(redis.call('HVALS', KEYS[3])) do
    left = left - tonumber(set_aside)
  end
  if left < 1 then
    return {'tokens', ahead, 0}
  end
  granted = math.min(granted, left)
end
redis.call('ZADD', KEYS[2], now_ms + ARGV[7], ARGV[6])
redis.call('HSET', KEYS[3], ARGV[6], string.format('%.0f', granted))
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PEXPIRE', KEYS[3], ARGV[7])
return {'', ahead, granted}
"""

HOLD: Final = """
-- KEYS leases, reserved
-- ARGV life (ms), then for each: lease, the tokens set aside with it, the lease that it replaces ('' = none)
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for at = 2, #ARGV, 3 do
  local lease, tokens, before = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  redis.call('ZADD', KEYS[1], until_ms, lease)
  redis.call('HSETNX', KEYS[2], lease, tokens)
  if before ~= '' then
    redis.call('ZREM', KEYS[1], before)
    redis.call('HDEL', KEYS[2], before)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
"""

SETTLE: Final = """
-- KEYS leases, reserved, spent, booked, usage
-- ARGV lease, tokens (-1 = give back only), lives (s) of booked, spent and usage,
--      then key and model, input tokens, output tokens, seconds, whether to do nothing while the lease is held
if ARGV[10] == '1' then
  local time = redis.call('TIME')
  local until_ms = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
  if until_ms > time[1] * 1000 + time[2] / 1000 then
    return 0
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
local tokens = tonumber(ARGV[2])
if tokens < 0 or not redis.call('SET', KEYS[4], '1', 'NX', 'EX', ARGV[3]) then
  return 0
end
redis.call('INCRBY', KEYS[3], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('HINCRBY', KEYS[5], ARGV[6] .. ' requests', 1)
redis.call('HINCRBY', KEYS[5], ARGV[6] .. ' input_tokens', ARGV[7])
redis.call('HINCRBY', KEYS[5], ARGV[6] .. ' output_tokens', ARGV[8])
redis.call('HINCRBYFLOAT', KEYS[5], ARGV[6] .. ' seconds', ARGV[9])
redis.call('EXPIRE', KEYS[5], ARGV[5])
return 1
"""

PRESENT: Final = """
-- KEYS gateways
-- ARGV name, life (ms)
-- returns how many gateways are there
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now_ms + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
