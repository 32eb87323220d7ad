// GET /metrics: the names and labels of the contract, values that move as they should, label sets that stay bounded.
import { describe, expect, test } from "bun:test";
import { createMetrics } from "../../src/observe/metrics.ts";
import { needDebian } from "../need.ts";
import { startStack, type Stack } from "../stack.ts";

const promtool = await needDebian("prometheus", "promtool");

/** No poll may notice an eviction before the request does. */
const UNNOTICED = { pollMs: 60_000 };

/** Name, type, and labels without the histograms' own `le`. */
const CONTRACT: readonly (readonly [string, string, readonly string[]])[] = [
  ["hal0_dispatch_requests_total", "counter", ["route", "status", "upstream"]],
  ["hal0_dispatch_upstream_dead_total", "counter", ["error", "slot"]],
  ["hal0_dispatch_repairs_total", "counter", ["outcome", "slot"]],
  ["hal0_dispatch_loads_total", "counter", ["outcome", "slot"]],
  ["hal0_dispatch_recovery_seconds", "histogram", ["slot"]],
  ["hal0_dispatch_time_to_first_byte_seconds", "histogram", ["upstream"]],
  ["hal0_dispatch_stream_continued_total", "counter", ["outcome", "slot"]],
  ["hal0_dispatch_fallbacks_total", "counter", ["reason", "slot", "upstream"]],
  ["hal0_dispatch_stream_interrupted_total", "counter", ["upstream"]],
  ["hal0_dispatch_tokens_total", "counter", ["kind", "slot"]],
  ["hal0_dispatch_tokens_per_second", "histogram", ["slot"]],
  ["hal0_dispatch_in_flight", "gauge", ["upstream"]],
  ["hal0_dispatch_waiting", "gauge", ["slot"]],
  ["hal0_dispatch_slot_state", "gauge", ["slot", "state"]],
  ["hal0_dispatch_lemonade_up", "gauge", []],
  ["hal0_dispatch_build_info", "gauge", ["bun", "version"]],
];

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

async function scraped(stack: Stack): Promise<string> {
  const response = await fetch(`${stack.url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  return response.text();
}

function samplesOf(text: string): Sample[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const [, name = "", labels = "", value = ""] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = "", text = ""]) => [label, text] as const);
    return { name, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

/** The value of the one sample with that name and these labels; undefined where there is none. */
function valueOf(text: string, name: string, labels: Record<string, string> = {}): number | undefined {
  const found = samplesOf(text).filter(
    (sample) =>
      sample.name === `hal0_dispatch_${name}` &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  expect(found.length).toBeLessThanOrEqual(1);
  return found[0]?.value;
}

/** A stack in which each counter and histogram has counted something. */
async function startUsed(): Promise<Stack> {
  const stack = await startStack({ lemonade: UNNOTICED, loaded: [] });
  await (await stack.chat()).text();
  await stack.child().kill();
  // The child lives, and cuts what it is asked to go on with at the same place once more.
  await (await stack.chat({ stream: true, tokens: 50, sim: { tokenMs: 5, cutAfterBytes: 2000 } })).text();
  await stack.line("dispatch.stream_interrupted");
  await stack.slotIs(({ state, repairs }) => state === "ready" && repairs.recovered + repairs.alive >= 3);
  // The repair behind the last cut may still be under way.
  const restart = async (): Promise<number> => (await stack.post("/api/slots/primary/restart", {})).status;
  let status = await restart();
  for (let tries = 0; status === 409 && tries < 100; tries++, status = await restart()) await Bun.sleep(20);
  expect(status).toBe(200);
  return stack;
}

test("the metrics have the names, types and labels of the contract, and no others", async () => {
  await using stack = await startUsed();
  const text = await scraped(stack);
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type] as const);
  expect(types.toSorted()).toEqual(CONTRACT.map(([name, type]) => [name, type] as const).toSorted());
  expect([...text.matchAll(/^# HELP (\S+) \S.*$/gm)]).toHaveLength(CONTRACT.length);
  for (const [name, type, labels] of CONTRACT) {
    const own = samplesOf(text).filter((sample) =>
      type === "histogram"
        ? /^_(bucket|sum|count)$/.test(sample.name.slice(name.length)) && sample.name.startsWith(name)
        : sample.name === name,
    );
    // The test of fallbacks has its samples.
    if (name !== "hal0_dispatch_fallbacks_total") expect(own.length).toBeGreaterThan(0);
    for (const sample of own)
      expect(
        Object.keys(sample.labels)
          .filter((label) => label !== "le")
          .toSorted(),
      ).toEqual([...labels]);
  }
});

test("the histograms' buckets fit: first bytes from 10 ms, recoveries from 0.1 s, both to 10 min", async () => {
  await using stack = await startUsed();
  const samples = samplesOf(await scraped(stack));
  const bounds = (name: string): number[] =>
    samples
      .filter((sample) => sample.name === `hal0_dispatch_${name}_bucket`)
      .map(({ labels }) => Number(labels["le"]?.replace("+Inf", "Infinity")));
  expect(bounds("time_to_first_byte_seconds").at(0)).toBe(0.01);
  expect(bounds("time_to_first_byte_seconds").slice(-2)).toEqual([600, Infinity]);
  expect(bounds("recovery_seconds").at(0)).toBe(0.1);
  expect(bounds("recovery_seconds").slice(-2)).toEqual([600, Infinity]);
});

test("each request is counted once, by upstream, route and the status its client got", async () => {
  await using stack = await startStack();
  const count = async (labels: Record<string, string>) => valueOf(await scraped(stack), "requests_total", labels) ?? 0;
  for (let n = 0; n < 3; n++) await (await stack.chat()).text();
  await (await stack.chat({ sim: { status: 400 } })).text();
  await (await stack.post("/api/v1/embeddings", { input: "x" })).text();
  await (await stack.post("/v1/chat/completions", "{")).text();
  const chat = { upstream: "primary", route: "chat/completions" };
  expect(await count({ ...chat, status: "200" })).toBe(3);
  expect(await count({ ...chat, status: "400" })).toBe(1);
  expect(await count({ upstream: "primary", route: "embeddings" })).toBe(1);
  expect(
    valueOf(await scraped(stack), "time_to_first_byte_seconds_count", { upstream: "primary" }),
  ).toBeGreaterThanOrEqual(3);
});

test("a repair is counted once by its outcome, with the loss before it and the time it took", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED });
  await stack.child().kill();
  const replies = await Promise.all([1, 2, 3].map(() => stack.chat()));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
  const text = await scraped(stack);
  expect(valueOf(text, "repairs_total", { slot: "primary", outcome: "recovered" })).toBe(1);
  expect(valueOf(text, "recovery_seconds_count", { slot: "primary" })).toBe(1);
  expect(valueOf(text, "recovery_seconds_sum", { slot: "primary" })).toBeGreaterThan(0.05);
  expect(valueOf(text, "upstream_dead_total", { slot: "primary", error: "ConnectError" })).toBeGreaterThan(0);
  expect(valueOf(text, "stream_interrupted_total", {})).toBeUndefined();
});

test("what backs off is counted and has no duration; a failed repair has both", async () => {
  await using stack = await startStack({ lemonade: UNNOTICED });
  stack.lemond.failLoads("tiny-a", 9);
  await stack.child().kill();
  await (await stack.chat()).text();
  await (await stack.chat()).text();
  const text = await scraped(stack);
  expect(valueOf(text, "repairs_total", { outcome: "failed" })).toBe(1);
  expect(valueOf(text, "repairs_total", { outcome: "backed_off" })).toBe(1);
  expect(valueOf(text, "recovery_seconds_count", { slot: "primary" })).toBe(1);
  expect(valueOf(text, "requests_total", { status: "502" })).toBe(2);
});

test("a stream that broke off is counted once", async () => {
  await using stack = await startUsed();
  expect(valueOf(await scraped(stack), "stream_interrupted_total", { upstream: "primary" })).toBe(1);
});

test("the gauges say what is so now: in flight, waiting, state, lemond", async () => {
  await using stack = await startStack({ lemonade: { pollMs: 100 } });
  const leave = new AbortController();
  const streams = [1, 2].map(() =>
    stack.chat({ stream: true, sim: { tokens: 500, tokenMs: 50 }, signal: leave.signal }),
  );
  for (const stream of streams) expect((await stream).status).toBe(200);
  const serving = await scraped(stack);
  expect(valueOf(serving, "in_flight", { upstream: "primary" })).toBe(2);
  expect(valueOf(serving, "waiting", { slot: "primary" })).toBe(0);
  const states = samplesOf(serving).filter(({ name }) => name === "hal0_dispatch_slot_state");
  expect(states).toHaveLength(8);
  expect(states.filter(({ value }) => value === 1).map(({ labels }) => labels["state"])).toEqual(["serving"]);
  expect(valueOf(serving, "lemonade_up")).toBe(1);
  leave.abort();
  await stack.slotIs(({ in_flight }) => in_flight === 0);

  const loads = stack.lemond.holdLoads();
  await stack.child().kill();
  const held = stack.chat();
  await stack.slotIs(({ waiting, state }) => waiting === 1 && state === "starting");
  const waiting = await scraped(stack);
  expect(valueOf(waiting, "waiting", { slot: "primary" })).toBe(1);
  expect(valueOf(waiting, "in_flight", { upstream: "primary" })).toBe(0);
  expect(valueOf(waiting, "slot_state", { state: "starting" })).toBe(1);
  loads.release();
  await (await held).text();

  await stack.lemond.kill();
  await stack.line("lemonade.unreachable");
  expect(valueOf(await scraped(stack), "lemonade_up")).toBe(0);
});

test("what a client writes becomes no label: unknown models, foreign paths, odd methods", async () => {
  await using stack = await startStack();
  await (await stack.chat()).text();
  const before = samplesOf(await scraped(stack)).length;
  for (let n = 0; n < 30; n++) {
    expect((await stack.chat({ model: `invented-${n}` })).status).toBe(404);
    await (await stack.post(`/v1/invented-${n}`, {})).text();
    await (await fetch(`${stack.url}/v1/chat/completions?invented-${n}`, { method: "PUT" })).text();
  }
  const text = await scraped(stack);
  expect(text).not.toContain("invented");
  expect(valueOf(text, "requests_total", { upstream: "", route: "chat/completions", status: "404" })).toBe(30);
  // One for chats that found nobody, one for what went to lemond as control.
  expect(samplesOf(text).length).toBeLessThanOrEqual(before + 2);
});

test("a slot that is gone leaves no gauge behind", async () => {
  const metrics = createMetrics("1.2.3");
  const slot = { name: "gone", state: "ready", inFlight: 1, waiting: 0 } as const;
  await metrics.scrape({
    slots: [slot],
    remotes: [{ name: "away", inFlight: 1 }],
    lemonades: [{ name: null, isUp: true }],
  });
  const { text } = await metrics.scrape({ slots: [], remotes: [], lemonades: [{ name: null, isUp: true }] });
  expect(text).not.toMatch(/gone|away/);
  expect(text).toContain(`hal0_dispatch_build_info{version="1.2.3",bun="${Bun.version}"} 1`);
});

describe.skipIf(promtool === null)("with Prometheus", () => {
  test("promtool has nothing to say about the metrics of a used server", async () => {
    await using stack = await startUsed();
    const child = Bun.spawn([promtool ?? "", "check", "metrics"], {
      stdin: new Blob([await scraped(stack)]),
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = (await child.stdout.text()) + (await child.stderr.text());
    expect(said).toBe("");
    expect(await child.exited).toBe(0);
  });
});
