// What the program holds while replies are on their way, seen from outside: its resident memory.
import { describe, expect, test } from "bun:test";
import { startLemond } from "../lemond/index.ts";
import { startProgram, type Program } from "../program.ts";
import { startFlood } from "../flood.ts";

const MB = 1024 * 1024;
const BODY_BYTES = 10 * MB;
/** A busy machine collects late; the streams last for a minute. */
const SOON_MS = 15_000;

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

test.each([
  ["child", 8],
  ["lemond", 5],
] as const)(
  "the bodies of streams of 10 MB each are gone soon after the first tokens, via the %s",
  async (via, streams) => {
    await using lemond = await startLemond();
    await lemond.load("tiny-a");
    await using program = await startProgram(`
[server]
drain_s = 0.1
[lemonade]
url = "${lemond.url}"
[slots.primary]
model = "tiny-a"
via = "${via}"
`);
    const messages = [{ role: "user", content: "hello" }];
    await (await post(program, { messages, stream: true })).text();
    const beforeMb = await residentMb(program);
    const large = [{ role: "user", content: "x".repeat(BODY_BYTES) }];
    const readers = await Promise.all(
      Array.from({ length: streams }, async () => {
        const { body } = await post(program, { messages: large, stream: true, sim: { tokens: 2, tokenMs: 60_000 } });
        const reader = body?.getReader();
        await reader?.read();
        return reader;
      }),
    );
    // The collector leaves some of the parsed text lying; the bodies alone are 10 MB each.
    const mostMb = streams * 5.6;
    const afterMb = await settledMb(program, beforeMb + mostMb, SOON_MS);
    expect(afterMb - beforeMb).toBeLessThan(mostMb);
    for (const reader of readers) await reader?.cancel();
  },
  60_000,
);

describe("a plain reply of 300 MB", () => {
  test.each([
    ["that says its length", true],
    ["that does not say its length", false],
  ])(
    "%s passes as it comes, and no faster than its client reads",
    async (_, hasLength) => {
      await using flood = startFlood(300 * MB, hasLength);
      await using program = await startProgram(`
[server]
max_reply_mb = 16
[lemonade]
url = "http://127.0.0.1:1"
auto_slots = false
[upstreams.far]
url = "${flood.url}"
models = ["m"]
`);
      expect((await post(program, { model: "m", small: true })).status).toBe(200);
      const beforeMb = await residentMb(program);
      const response = await post(program, { model: "m" });
      expect(response.status).toBe(200);
      // Until the source has not been able to send for a while: the client has not read yet.
      for (let last = -1; last !== flood.sentBytes; await Bun.sleep(300)) last = flood.sentBytes;
      expect(flood.sentBytes).toBeLessThan(150 * MB);
      let mostMb = await residentMb(program);
      let bytes = 0;
      for await (const chunk of response.body ?? []) {
        if (Math.floor(bytes / (8 * MB)) !== Math.floor((bytes += chunk.length) / (8 * MB)))
          mostMb = Math.max(mostMb, await residentMb(program));
      }
      expect(bytes).toBe(300 * MB);
      expect(mostMb - beforeMb).toBeLessThan(150);
    },
    30_000,
  );
});
