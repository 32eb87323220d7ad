// The simulated Lemonade with the built executable in front, and what can happen to it while a client uses it.
import { expect } from "bun:test";
import type { SlotSnapshot } from "../../src/slots/snapshot.ts";
import { startBinary, type Binary } from "../binary.ts";
import { startLemond, type Child, type Lemond, type LemondOptions } from "../lemond/index.ts";

/** The key that the service wants. */
export const KEY = "key-of-the-tests-0123456789";
export const WRONG_KEY = "key-of-somebody-else";
export const VERSIONS = ["10.6", "11.7"] as const;

export interface ServiceOptions {
  readonly lemond?: LemondOptions;
  /** Added to the end of the configuration file, which is the section of slot `primary`. */
  readonly toml?: string;
  /** Whether cut streams of `primary` go on. Default true. */
  readonly continues?: boolean;
  /** Default 1. */
  readonly drainS?: number;
  /** Default 5. */
  readonly heartbeatS?: number;
  /** How long a request waits for its slot. Default 20. */
  readonly holdS?: number;
  /** Loaded through lemond before the executable starts. Default: both slots' models. */
  readonly loaded?: readonly string[];
}

export interface Service extends AsyncDisposable {
  readonly lemond: Lemond;
  readonly binary: Binary;
  readonly url: string;
  /** The latest child of a model, dead or alive. Throws where there is none. */
  child(model?: string): Child;
  slot(name?: string): Promise<SlotSnapshot>;
  /** An operator's POST below `/api/slots/`. */
  operate(path: string): Promise<Response>;
  /** Requests of model routes that were answered with that status. From the metrics: the log arrives later. */
  dispatched(status: number): Promise<number>;
  /** Streams that ended with the interrupted event. */
  interrupted(): Promise<number>;
  /** Streams that went on with another child. */
  continued(): Promise<number>;
}

/** Slots `primary` (tiny-a) and `embed` (tiny-emb). */
export async function startService(given: ServiceOptions = {}): Promise<Service> {
  const { lemond: options, toml = "", continues = true, loaded } = given;
  const lemond = await startLemond(options);
  await Promise.all((loaded ?? ["tiny-a", "tiny-emb"]).map((model) => lemond.load(model)));
  const binary = await startBinary({
    toml: `${serviceToml(lemond.url, given)}continue = ${continues}\n${toml}`,
  }).catch(async (error: unknown) => {
    await lemond[Symbol.asyncDispose]();
    throw error;
  });
  const { url } = binary;
  const headers = { authorization: `Bearer ${KEY}` };
  /** The sum of a counter over its label sets that hold `label`. */
  const counted = async (name: string, label: string): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`, { headers })).text();
    const samples = text.split("\n").filter((line) => line.startsWith(`${name}{`) && line.includes(label));
    return samples.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  return {
    lemond,
    binary,
    url,
    child: (model = "tiny-a") => {
      const child = lemond.child(model);
      if (!child) throw new Error(`no child of ${model}`);
      return child;
    },
    slot: async (name = "primary") => {
      const response = await fetch(`${url}/api/slots/${name}`, { headers });
      return (await response.json()) as SlotSnapshot;
    },
    operate: (path) => fetch(`${url}/api/slots/${path}`, { method: "POST", headers }),
    dispatched: (status) => counted("hal0_dispatch_requests_total", `status="${status}"`),
    continued: () => counted("hal0_dispatch_stream_continued_total", 'outcome="continued"'),
    interrupted: () => counted("hal0_dispatch_stream_interrupted_total", ""),
    [Symbol.asyncDispose]: async () => {
      await binary[Symbol.asyncDispose]();
      await lemond[Symbol.asyncDispose]();
    },
  };
}

function serviceToml(lemondUrl: string, { drainS = 1, heartbeatS = 5, holdS = 20 }: ServiceOptions): string {
  return `
[server]
port = 0
api_keys = ["${KEY}"]
log_level = "debug"
drain_s = ${drainS}
heartbeat_s = ${heartbeatS}
[lemonade]
url = "${lemondUrl}"
poll_s = 0.2
[slots.embed]
model = "tiny-emb"
hold_s = 20
[slots.primary]
model = "tiny-a"
default = true
hold_s = ${holdS}
`;
}

/** Kills the model's child; what `use` does next must not notice. One load brings it back, and its reply comes from there. */
export async function acrossEviction<T>(service: Service, use: () => Promise<T>, model = "tiny-a"): Promise<T> {
  const { lemond } = service;
  const evicted = service.child(model);
  const before = { prompts: evicted.prompts(), loads: lemond.loads(model), unloads: lemond.unloads(model) };
  const answered = await service.dispatched(200);
  await evicted.kill();
  const result = await use();
  expect(service.child(model).pid).not.toBe(evicted.pid);
  expect([evicted.prompts() - before.prompts, service.child(model).prompts()]).toEqual([0, 1]);
  expect(lemond.loads(model) - before.loads).toBe(1);
  expect(lemond.unloads(model) - before.unloads).toBeLessThanOrEqual(1);
  expect(lemond.unloadAlls()).toBe(0);
  // The client itself sent it once: it was not the client's own retry that mended it.
  expect((await service.dispatched(200)) - answered).toBe(1);
  expect([await service.dispatched(502), await service.dispatched(503)]).toEqual([0, 0]);
  return result;
}

/**
 * An operator reloads the slot, and the load hangs until the clients have been told to come again. The slot has loaded
 * within a second before, so they are told `Retry-After: 1`. Start the service with `loaded: []`.
 */
export async function whileLoading<T>(service: Service, uses: readonly (() => Promise<T>)[]): Promise<T[]> {
  const { lemond, binary } = service;
  expect((await service.operate("primary/load")).status).toBe(200);
  const latch = lemond.holdLoads();
  const asked = lemond.received("/v1/load");
  const restart = service.operate("primary/restart");
  await asked;
  const began = performance.now();
  const replies = Promise.all(uses.map((use) => use()));
  const refusals = (): number => binary.lines.filter(({ status }) => status === 503).length;
  // A client that gives up at the 503 fails here, not in a timeout.
  await Promise.race([replies, binary.line("dispatch.decision", () => refusals() >= uses.length)]);
  latch.release();
  expect((await restart).status).toBe(200);
  const results = await replies;
  const tookMs = performance.now() - began;
  // They came back when they were told to, not by a shorter backoff of their own.
  const rounds = (await service.dispatched(503)) / uses.length;
  expect(rounds).toBeGreaterThanOrEqual(1);
  expect(tookMs).toBeGreaterThanOrEqual(1000 * rounds);
  expect(await service.dispatched(200)).toBe(uses.length);
  expect(service.child().prompts()).toBe(uses.length);
  expect(lemond.loads("tiny-a")).toBe(2);
  return results;
}

/** A reply of 100 tokens over two seconds, long enough to be killed in. */
export const LONG = { sim: { tokens: 100, tokenMs: 20 } };

/** Streams whose children were killed in the middle, one by one: their client had each whole, from two children and with one load. */
export async function afterContinuation(service: Service, times = 1): Promise<void> {
  const { lemond } = service;
  expect(await service.continued()).toBe(times);
  expect(await service.interrupted()).toBe(0);
  expect([lemond.loads("tiny-a"), lemond.unloads("tiny-a") <= times]).toEqual([1 + times, true]);
  expect([await service.dispatched(502), await service.dispatched(503)]).toEqual([0, 0]);
}

/** What a stream that lost its child must leave behind: told once, and the next request served. */
export async function afterInterruption(service: Service, next: () => Promise<unknown>): Promise<void> {
  expect(await service.interrupted()).toBe(1);
  await next();
  expect(service.lemond.loads("tiny-a")).toBe(2);
  expect(service.lemond.unloads("tiny-a")).toBeLessThanOrEqual(1);
  expect(service.child().prompts()).toBe(1);
}

/** Text that the simulated model says. */
export const said = (tokens: number, model = "tiny-a"): string =>
  Array.from({ length: tokens }, (_, at) => `${model} token ${at + 1} `).join("");
