-- Reservations as fast as answers come: each connection asks when it was answered.
--
--   . DIR/env && wrk -t2 -c64 -d15s --latency -s benches/recipes/wrk.lua "$TARGET"
--
-- From `prepare`: SKU, TOKENS. Besides: QUANTITY_MAX units in one request (1). The last line of stdout is one JSON object,
-- with times in milliseconds. wrk counts every status from 400 on as an error, so sold out (422) is one.

local heads, stem, count = {}, nil, 0
local sku, quantity_max = os.getenv('SKU'), tonumber(os.getenv('QUANTITY_MAX') or '1')

-- Each thread has this file to itself. Keys must differ between threads, and from those of every run before.
local function random_hex(bytes)
  local source = assert(io.open('/dev/urandom', 'rb'))
  local drawn = source:read(bytes)
  source:close()
  return (drawn:gsub('.', function(byte) return string.format('%02x', byte:byte()) end))
end

function init()
  stem = 'wrk-' .. random_hex(8) .. '-'
  for token in io.lines(assert(os.getenv('TOKENS'), 'source the env of prepare first') .. '.txt') do
    heads[#heads + 1] = 'POST /v1/reservations HTTP/1.1\r\nHost: ' .. wrk.headers['Host']
      .. '\r\nAuthorization: Bearer ' .. token
      .. '\r\nContent-Type: application/json\r\nIdempotency-Key: ' .. stem
  end
end

function request()
  count = count + 1
  local quantity = 1 + count % quantity_max
  local body = '{"lines":[{"sku":"' .. sku .. '","quantity":' .. quantity .. '}]}'
  return heads[count % #heads + 1] .. count .. '\r\nContent-Length: ' .. #body .. '\r\n\r\n' .. body
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"tool":"wrk","model":"closed","requests":%d,"per_second":%.1f,"status_errors":%d,"broken":%d,"timed_out":%d,'
      .. '"took":{"mean":%.3f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"p999":%.3f,"max":%.3f}}\n',
    summary.requests, summary.requests * 1e6 / summary.duration,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
