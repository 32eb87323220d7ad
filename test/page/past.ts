// What earlier runs of the server left behind, for the scenes of the page: requests, repairs and the sums of a week.
import type { RepairEntry } from "../../src/observe/repairs.ts";
import type { RequestRecord } from "../../src/observe/requests.ts";

/** A bad week: 200 repairs, some of them within a minute, and 200 requests. */
export function badWeek(nowMs: number, slots: readonly string[]): object {
  const at = (minutes: number): string => timeAgo(nowMs, minutes);
  const causes = ["refused", "reset", "evicted", "pid gone", "truncated"];
  const outcomes = ["recovered", "recovered", "retargeted", "alive", "failed"] as const;
  const slotOf = (n: number): string => slots[n % 5] ?? "";
  const repairs = Array.from({ length: 200 }, (_, n): RepairEntry => ({
    time: at(n < 40 ? n * 0.4 : n * 3),
    slot: slotOf(n),
    cause: causes[n % causes.length] ?? "",
    outcome: outcomes[n % outcomes.length] ?? "recovered",
    from: `http://127.0.0.1:${8001 + (n % 9)}/v1`,
    to: outcomes[n % outcomes.length] === "failed" ? null : `http://127.0.0.1:${8002 + (n % 9)}/v1`,
    duration_s: 2 + (n % 40),
    request_id: crypto.randomUUID(),
  }));
  const requests = repairs.map(({ time, slot, outcome, request_id, duration_s }, n): RequestRecord => ({
    at: time,
    request_id: request_id ?? "",
    route: "chat/completions",
    model: n % 3 === 0 ? "gpt-4o" : slot,
    upstream: slot,
    stream: true,
    status: outcome === "failed" ? 502 : n % 17 === 3 ? 499 : 200,
    repair: outcome,
    waited_ms: duration_s * 1000,
    first_byte_ms: outcome === "failed" ? null : duration_s * 1000 + 420,
    took_ms: duration_s * 1000 + 9300,
    prompt_tokens: outcome === "failed" ? null : 1200 + n * 31,
    completion_tokens: outcome === "failed" ? null : 356,
    tokens_per_second: outcome === "failed" ? null : 41.7,
    fallback: n % 29 === 5 ? "primary" : null,
    continued: n % 23 === 4,
  }));
  return {
    version: 1,
    days: week(nowMs, { recovered: 20, continued: 3, fell_back: 1, waited_ms: 940_000 }),
    repairs,
    requests,
  };
}

/** A quiet one: a request every four minutes, and no repair for two hours. */
export function quietWeek(nowMs: number, slots: readonly string[]): object {
  const requests = Array.from({ length: 40 }, (_, n): RequestRecord => ({
    at: timeAgo(nowMs, 3 + n * 4),
    request_id: crypto.randomUUID(),
    route: "chat/completions",
    model: slots[n % 3 === 0 ? 1 : 0] ?? "",
    upstream: slots[n % 3 === 0 ? 1 : 0] ?? "",
    stream: true,
    status: 200,
    repair: null,
    waited_ms: 0,
    first_byte_ms: 180 + n * 7,
    took_ms: 5300 + n * 111,
    prompt_tokens: 1200 + n * 31,
    completion_tokens: 214 + n * 3,
    tokens_per_second: 41.7,
    fallback: null,
    continued: n === 31,
  }));
  return {
    version: 1,
    days: week(nowMs, { recovered: 2, continued: 1, fell_back: 0, waited_ms: 54_000 }),
    repairs: [],
    requests,
  };
}

const timeAgo = (nowMs: number, minutes: number): string => new Date(nowMs - minutes * 60_000).toISOString();

/** Seven days in local time, today last. */
function week(nowMs: number, each: object): object[] {
  const local = (ms: number): string =>
    new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
  return [6, 5, 4, 3, 2, 1, 0].map((ago) => ({
    day: local(nowMs - ago * 86_400_000),
    served: 180 + ago * 11,
    ...each,
  }));
}
