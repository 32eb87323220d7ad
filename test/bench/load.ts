// Load from outside this process: wrk, one thread; and single requests on connections of their own.
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "./targets.ts";

export interface Load {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** CPU that the target took for a request, all its threads and workers, in microseconds. */
  readonly cpuUs: number;
  readonly peakRssMb: number;
  /** Replies other than 2xx and 3xx, and socket errors. */
  readonly errors: number;
}

const PATH = "/v1/chat/completions";

export function requestBody(isStream: boolean, padBytes = 0): string {
  const content = "Hello, how are you?".padEnd(padBytes, "x");
  return JSON.stringify({
    model: "bench",
    ...(isStream ? { stream: true } : {}),
    messages: [{ role: "user", content }],
  });
}

/** One run of wrk against a target. */
export async function load(
  wrk: string,
  target: Target,
  isStream: boolean,
  connections: number,
  seconds: number,
): Promise<Load> {
  const script = join(tmpdir(), `hal0-bench-${process.pid}.lua`);
  const body = requestBody(isStream).replaceAll("'", "\\'");
  await writeFile(script, `wrk.method="POST"\nwrk.headers["content-type"]="application/json"\nwrk.body='${body}'\n`);
  const before = cpuMs(target.pid);
  const command = [wrk, "-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "--timeout", "30s", "-s", script];
  const run = Bun.spawn([...command, `${target.origin}${PATH}`], { stdout: "pipe", stderr: "inherit" });
  let peakRssMb = 0;
  const sampling = setInterval(() => (peakRssMb = Math.max(peakRssMb, rssMb(target.pid))), 100);
  const text = await new Response(run.stdout).text();
  clearInterval(sampling);
  await rm(script);
  const requests = numberIn(/(\d+) requests in/, text);
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const failed = (sockets?.slice(1) ?? []).reduce(
    (sum, count) => sum + Number(count),
    numberIn(/Non-2xx or 3xx responses: (\d+)/, text),
  );
  return {
    perSecond: numberIn(/Requests\/sec:\s+([\d.]+)/, text),
    medianMs: timeIn(/^\s+50%\s+(\S+)/m, text),
    p99Ms: timeIn(/^\s+99%\s+(\S+)/m, text),
    cpuUs: requests === 0 ? 0 : ((cpuMs(target.pid) - before) * 1000) / requests,
    peakRssMb,
    errors: failed,
  };
}

/** Milliseconds to the first byte of the body and to the end, of one request on a connection of its own. */
export async function once(target: Target, body: string): Promise<{ firstMs: number; wholeMs: number }> {
  const began = performance.now();
  const response = await fetch(`${target.origin}${PATH}`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body,
    keepalive: false,
  });
  if (!response.ok) throw new Error(`${target.name} answered ${response.status}`);
  const reader = response.body?.getReader();
  await reader?.read();
  const firstMs = performance.now() - began;
  while (reader && !(await reader.read()).done);
  return { firstMs, wholeMs: performance.now() - began };
}

export function rssMb(pid: number): number {
  return readNumber(`/proc/${pid}/status`, /VmRSS:\s+(\d+)/) / 1024;
}

/** CPU of the process and of its workers so far. */
function cpuMs(pid: number): number {
  const workers = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return [pid, ...workers].reduce((sum, id) => {
    const fields = read(`/proc/${id}/stat`).split(") ")[1]?.split(" ") ?? [];
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10; // 100 ticks a second on Linux
  }, 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // A worker that has just ended.
  }
}

const readNumber = (path: string, pattern: RegExp): number => numberIn(pattern, read(path));
const numberIn = (pattern: RegExp, text: string): number => Number(pattern.exec(text)?.[1] ?? 0);

function timeIn(pattern: RegExp, text: string): number {
  const [, value = "0", unit = "ms"] = /^([\d.]+)(us|ms|s|m)$/.exec(pattern.exec(text)?.[1] ?? "") ?? [];
  const inMs: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
  return Number(value) * (inMs[unit] ?? 1);
}
