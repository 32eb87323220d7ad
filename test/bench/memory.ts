// What large requests leave behind: the memory of a server before them, at its highest, and a minute after the last.
import { once, requestBody, rssMb } from "./load.ts";
import type { Target } from "./targets.ts";

export interface Memory {
  readonly beforeMb: number;
  readonly highestMb: number;
  readonly afterMb: number;
}

const REQUESTS = 500;
const AT_ONCE = 4;
const REQUEST_BYTES = 20 * 1024 ** 2;
const REST_MS = 60_000;

/** 500 requests of 20 MB, four at once. Megabytes of RSS. */
export async function measureMemory(target: Target): Promise<Memory> {
  const body = requestBody(false, REQUEST_BYTES);
  const beforeMb = rssMb(target.pid);
  let highestMb = beforeMb;
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => once(target, body)));
    highestMb = Math.max(highestMb, rssMb(target.pid));
  }
  await Bun.sleep(REST_MS);
  return { beforeMb, highestMb, afterMb: rssMb(target.pid) };
}
