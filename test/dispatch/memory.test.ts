// What the program holds while replies are on their way, seen from outside: its resident memory.
import { expect, test } from "bun:test";
import { startLemond } from "../lemond/index.ts";
import { startProgram, type Program } from "../program.ts";

const MB = 1024 * 1024;
const STREAMS = 8;
const BODY_BYTES = 10 * MB;

async function residentMb({ pid }: Program): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

const post = (program: Program, body: unknown): Promise<Response> =>
  fetch(`${program.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });

/** Until the memory is below `mb`, for `ms` at most: what it is then. */
async function settledMb(program: Program, mb: number, ms: number): Promise<number> {
  const deadlineMs = performance.now() + ms;
  let now = await residentMb(program);
  while (now >= mb && performance.now() < deadlineMs) {
    await Bun.sleep(50);
    now = await residentMb(program);
  }
  return now;
}

test("the bodies of 8 streams of 10 MB each are gone 2 s after the first tokens", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  await using program = await startProgram(`
[server]
drain_s = 0.1
[lemonade]
url = "${lemond.url}"
[slots.primary]
model = "tiny-a"
`);
  const messages = [{ role: "user", content: "hello" }];
  await (await post(program, { messages, stream: true })).text();
  const beforeMb = await residentMb(program);
  const large = [{ role: "user", content: "x".repeat(BODY_BYTES) }];
  const readers = await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const { body } = await post(program, { messages: large, stream: true, sim: { tokens: 2, tokenMs: 60_000 } });
      const reader = body?.getReader();
      await reader?.read();
      return reader;
    }),
  );
  // The collector leaves some of the parsed text lying; the bodies alone are 80 MB.
  const afterMb = await settledMb(program, beforeMb + 45, 2000);
  expect(afterMb - beforeMb).toBeLessThan(45);
  for (const reader of readers) await reader?.cancel();
}, 30_000);
