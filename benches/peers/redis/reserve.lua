-- Reserve: the whole script runs alone, and its effects are one transaction of the append-only file.
--
-- KEYS: the shelf, what was decided by id, units by customer, deadlines. ARGV: id, customer, quantity.
-- Answers what was decided (1 granted, 2 sold out, 3 over the limit, 4 the id stands for another request), the deadline
-- in milliseconds, and whether it was told before.
local shelf, decided, customers, deadlines = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, customer, quantity = ARGV[1], ARGV[2], ARGV[3]

local before = redis.call('HGET', decided, id)
if before then
    local outcome, deadline, whose, what = string.match(before, '^(%d+) (%d+) (%d+) (%d+)$')
    if whose ~= customer or what ~= quantity then
        return {4, 0, 1}
    end
    return {tonumber(outcome), tonumber(deadline), 1}
end

local terms = redis.call('HMGET', shelf, 'available', 'units_per_customer_max', 'hold_ttl_ms')
local available, units_max, ttl_ms = tonumber(terms[1]), tonumber(terms[2]), tonumber(terms[3])
local units = tonumber(quantity)
local had = tonumber(redis.call('HGET', customers, customer) or 0)

local outcome, deadline = 1, 0
if had + units > units_max then
    outcome = 3
elseif available < units then
    outcome = 2
else
    local now = redis.call('TIME')
    deadline = now[1] * 1000 + math.floor(now[2] / 1000) + ttl_ms
    redis.call('HINCRBY', shelf, 'available', -units)
    redis.call('HINCRBY', customers, customer, units)
    redis.call('ZADD', deadlines, deadline, id)
end
-- Refusals too: the same id gets the same answer for ever.
redis.call('HSET', decided, id, string.format('%d %.0f %s %s', outcome, deadline, customer, quantity))
return {outcome, deadline, 0}
