// Reservations at a fixed rate that does not wait for answers. k6 v1; run it by scripts/k6.
//
// From `prepare`: TARGET, SKU, TOKENS. Besides: RATE per second (1000), DURATION (15s), VUS that are there from the
// beginning (256; each keeps a connection), VUS_MAX (1024), QUANTITY_MAX units in one request (1), P99_MS as a limit (none).
//
// The summary is one JSON object on stdout. http_req_duration counts from sending, not from when a request was due: what
// came late for want of a VU is in dropped_iterations only, and the run fails then.
import http from 'k6/http';
import { check } from 'k6';

const target = `${__ENV.TARGET}/v1/reservations`;
const tokens = JSON.parse(open(`${__ENV.TOKENS}.json`));
const quantityMax = Number(__ENV.QUANTITY_MAX || 1);

const thresholds = {
  checks: ['rate==1'],
  http_req_failed: ['rate==0'],
  dropped_iterations: ['count==0'],
};
if (__ENV.P99_MS) thresholds.http_req_duration = [`p(99)<${__ENV.P99_MS}`];

export const options = {
  scenarios: {
    reserve: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 1000),
      timeUnit: '1s',
      duration: __ENV.DURATION || '15s',
      preAllocatedVUs: Number(__ENV.VUS || 256),
      maxVUs: Number(__ENV.VUS_MAX || 1024),
    },
  },
  thresholds,
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
  discardResponseBodies: true,
};

// Sold out is an answer as good as another.
http.setResponseCallback(http.expectedStatuses(201, 422));

// A key that was used before is answered from memory, so keys of two runs must differ.
export function setup() {
  const random = Math.floor(Math.random() * 0x100000000);
  return { run: `k6-${Date.now().toString(36)}-${random.toString(36)}` };
}

export default function reserve({ run }) {
  const quantity = 1 + (__ITER % quantityMax);
  const answer = http.post(target, `{"lines":[{"sku":"${__ENV.SKU}","quantity":${quantity}}]}`, {
    headers: {
      Authorization: `Bearer ${tokens[(__VU + __ITER) % tokens.length]}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': `${run}-${__VU}-${__ITER}`,
    },
  });
  check(answer, { '201 or 422': ({ status }) => status === 201 || status === 422 });
}

function trend({ values }) {
  return {
    mean: values.avg,
    p50: values.med,
    p90: values['p(90)'],
    p99: values['p(99)'],
    p999: values['p(99.9)'],
    max: values.max,
  };
}

export function handleSummary({ metrics }) {
  const counted = (name) => (metrics[name] ? metrics[name].values.count : 0);
  const kept = Object.values(metrics).every(
    (metric) => !metric.thresholds || Object.values(metric.thresholds).every(({ ok }) => ok),
  );
  const summary = {
    tool: 'k6',
    model: 'open',
    requests: counted('http_reqs'),
    per_second: metrics.http_reqs ? metrics.http_reqs.values.rate : 0,
    dropped: counted('dropped_iterations'),
    failed_rate: metrics.http_req_failed ? metrics.http_req_failed.values.rate : null,
    vus_max: metrics.vus_max ? metrics.vus_max.values.max : 0,
    http_req_duration: metrics.http_req_duration ? trend(metrics.http_req_duration) : null,
    thresholds_met: kept,
  };
  return { stdout: `${JSON.stringify(summary)}\n` };
}
