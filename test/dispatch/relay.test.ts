// The relay on a scripted source: which bytes reach the client, in which steps, and how it ends. No sockets.
import { describe, expect, test } from "bun:test";
import type { Read } from "../../src/dispatch/attempt.ts";
import { endOfEvents } from "../../src/dispatch/sse.ts";
import { firstOf, INTERRUPTION, latin1, pieces, relayed, sourceOf, start, throughBoth } from "../relayed.ts";

const MB = 1024 * 1024;
const LOST = { kind: "lost", error: "RemoteProtocolError", cause: "truncated" } as const;
const TIMEOUT = { kind: "timeout" } as const;

/** Names, several data lines, comments, and letters of two to four bytes. */
const EVENTS = [
  ["data: grüße"],
  [":"],
  ["event: delta", "id: 7", "data: 日本語", "data: 𝄞 second line"],
  [": ping 🙂", "data:no space"],
  ["data: [DONE]"],
];
const LINE_ENDS = [
  ["LF", "\n"],
  ["CRLF", "\r\n"],
  ["CR", "\r"],
] as const;

interface Script {
  readonly bytes: Uint8Array;
  /** Where an event is complete, the first one first. Written down while the text is made, not looked for in it. */
  readonly ends: readonly number[];
}

function script(lineEnd: string): Script {
  const parts = EVENTS.map((lines) => Buffer.from(lines.map((line) => line + lineEnd).join("") + lineEnd));
  let at = 0;
  return { bytes: Buffer.concat(parts), ends: parts.map((part) => (at += part.length)) };
}
describe.each(LINE_ENDS)("events with lines that end in %s", (_, lineEnd) => {
  const { bytes, ends } = script(lineEnd);

  test("arrive as the child sent them, whole, in pieces of 1 to 64 bytes", async () => {
    for (let size = 1; size <= 64; size++) {
      const seen = await throughBoth(pieces(bytes, size), { kind: "end" });
      expect(seen?.text).toBe(latin1(bytes));
      let at = 0;
      const stops = seen?.steps.map((step) => (at += step.length)) ?? [];
      expect(stops.filter((stop) => !ends.includes(stop))).toEqual([]);
      expect(seen?.ends).toEqual([{ kind: "complete" }]);
    }
  });

  test("arrive as the child sent them with blank lines too many between them", async () => {
    const spaced = Buffer.from(`${lineEnd}data: a${lineEnd.repeat(4)}data: b${lineEnd.repeat(3)}`);
    for (let size = 1; size <= spaced.length; size++)
      expect((await throughBoth(pieces(spaced, size), { kind: "end" }))?.text).toBe(latin1(spaced));
  });

  test("that are cut at any byte end with whole events and the error event, and before the first one with neither", async () => {
    const [firstEnd = 0] = ends;
    for (const size of [1, 2, 3, 5, 16, 64, bytes.length])
      for (const last of [LOST, TIMEOUT])
        for (let cut = 0; cut <= bytes.length; cut++) {
          const seen = await throughBoth(pieces(bytes.subarray(0, cut), size), last);
          if (cut < firstEnd) {
            expect(seen).toBeNull();
            continue;
          }
          const whole = ends.findLast((end) => end <= cut) ?? 0;
          expect(seen?.text).toBe(latin1(bytes.subarray(0, whole)) + INTERRUPTION);
          expect(seen?.ends).toEqual([last]);
        }
  });

  test("are found by their blank line wherever the known part ends", () => {
    for (let length = 0; length <= bytes.length; length++) {
      const whole = ends.findLast((end) => end <= length) ?? 0;
      const part = bytes.subarray(0, length);
      expect(endOfEvents(part)).toBe(whole);
      // What is known to hold no blank line need not be looked at again.
      for (let known = whole; known < length; known++) {
        const expected = whole > known ? whole : 0;
        expect(endOfEvents(part, known)).toBe(expected);
      }
    }
  });
});

describe("the first event", () => {
  test("is waited for although its bytes come one by one", async () => {
    const source = sourceOf(pieces(Buffer.from("data: a\n\ndata: b\n\n"), 1));
    expect(await firstOf(source, "sse")).toEqual(new Uint8Array(Buffer.from("data: a\n\n")));
    expect(source.reads).toBe(9);
  });

  test("may be a comment", async () => {
    const source = sourceOf([Buffer.from(":\n\n"), Buffer.from("data: a\n\n")]);
    expect(await firstOf(source, "sse")).toEqual(Buffer.from(":\n\n"));
    expect(source.reads).toBe(1);
  });

  test("is not waited for past 1 MB, nor in a reply that is not SSE", async () => {
    const long = sourceOf([Buffer.alloc(MB, "x"), Buffer.from("y"), Buffer.from("never read")]);
    expect((await firstOf(long, "sse")) instanceof Uint8Array && long.reads).toBe(2);
    const plain = sourceOf([Buffer.from("no event"), Buffer.from("never read")]);
    expect(await firstOf(plain, "none")).toEqual(Buffer.from("no event"));
    expect(plain.reads).toBe(1);
  });

  test("of a reply that ends without one is all there was", async () => {
    const half = sourceOf([Buffer.from("data: a")]);
    expect(await firstOf(half, "sse")).toEqual(Buffer.from("data: a"));
    expect((await relayed(Buffer.from("data: a"), half)).text).toBe("data: a");
    const empty = sourceOf([]);
    expect(await firstOf(empty, "sse")).toEqual(new Uint8Array());
    expect(await relayed(new Uint8Array(), empty)).toMatchObject({ text: "", ends: [{ kind: "complete" }] });
  });
});

describe("half an event", () => {
  test("waits for its rest and is not shown to the client before", async () => {
    const { promise: rest, resolve } = Promise.withResolvers<Read>();
    const { reader } = start(Buffer.from("data: a\n\ndata: b"), { read: () => rest, cut: () => {} }, "sse");
    expect((await reader.read()).value).toEqual(Buffer.from("data: a\n\n"));
    const next = reader.read();
    const winner = await Promise.race([next, new Promise((later) => setImmediate(() => later("waiting")))]);
    expect(winner).toBe("waiting");
    resolve({ kind: "bytes", bytes: Buffer.from("\n\n") });
    expect(latin1((await next).value ?? new Uint8Array())).toBe("data: b\n\n");
  });

  test("of up to 1 MB is dropped when the child is lost", async () => {
    const tail = Buffer.alloc(MB, "x");
    const seen = await relayed(Buffer.from("data: a\n\n"), sourceOf([tail], LOST));
    expect(seen.text).toBe(`data: a\n\n${INTERRUPTION}`);
  });

  test("of more than 1 MB passes as it is, and an error event after it starts with a blank line", async () => {
    const tail = Buffer.alloc(MB + 1, "x");
    const lost = await relayed(Buffer.from("data: a\n\n"), sourceOf([tail], LOST));
    expect(lost.text === `data: a\n\n${latin1(tail)}\n\n${INTERRUPTION}`).toBe(true);
    const whole = await relayed(Buffer.from("data: a\n\n"), sourceOf([tail, Buffer.from("\n"), Buffer.from("\n")]));
    expect(whole.text === `data: a\n\n${latin1(tail)}\n\n`).toBe(true);
  });

  test("that passed and was then completed needs no blank line before the error event", async () => {
    const tail = Buffer.alloc(MB + 1, "x");
    const source = sourceOf([tail, Buffer.from("\n\ndata: b\n\ndata: ha")], LOST);
    const seen = await relayed(Buffer.from("data: a\n\n"), source);
    expect(seen.text === `data: a\n\n${latin1(tail)}\n\ndata: b\n\n${INTERRUPTION}`).toBe(true);
  });

  test("of more than 1 MB at the very start passes too", async () => {
    const seen = await throughBoth(pieces(Buffer.alloc(2 * MB, "x"), 300_000), LOST);
    expect(seen?.text.startsWith("xxxx")).toBe(true);
    expect(seen?.text.endsWith(`x\n\n${INTERRUPTION}`)).toBe(true);
  });

  test("at the regular end of the reply passes as the child sent it", async () => {
    const seen = await relayed(Buffer.from("data: a\n\n"), sourceOf([Buffer.from("data: b\n")]));
    expect(seen).toMatchObject({ text: "data: a\n\ndata: b\n", hasFailed: false, ends: [{ kind: "complete" }] });
  });
});

describe("a reply that is not SSE", () => {
  test("passes each piece at once, blank lines or not", async () => {
    const seen = await relayed(Buffer.from("a"), sourceOf([Buffer.from("b\n\nc"), Buffer.from("d")]), "none");
    expect(seen.steps.map(latin1)).toEqual(["a", "b\n\nc", "d"]);
    expect(seen.ends).toEqual([{ kind: "complete" }]);
  });

  test("that is lost fails at the client, and nothing is put into it", async () => {
    const seen = await relayed(Buffer.from("a"), sourceOf([Buffer.from("b")], LOST), "none");
    expect(seen).toMatchObject({ text: "ab", hasFailed: true, ends: [LOST] });
  });
});

describe("a reply of lines of JSON", () => {
  test("is begun when its first line is whole, and passes whole lines", async () => {
    const source = sourceOf([Buffer.from('{"a":'), Buffer.from('1}\n{"b"'), Buffer.from(":2}\n{}")]);
    const first = await firstOf(source, "lines");
    expect(first).toEqual(new Uint8Array(Buffer.from('{"a":1}\n{"b"')));
    const seen = await relayed(Buffer.from('{"a":1}\n{"b"'), source, "lines");
    expect(seen.steps.map(latin1)).toEqual(['{"a":1}\n', '{"b":2}\n', "{}"]);
    expect(seen.ends).toEqual([{ kind: "complete" }]);
  });

  test("that is lost ends with a line that says so, in the place of half a line", async () => {
    const seen = await relayed(Buffer.from('{"a":1}\n'), sourceOf([Buffer.from('{"b"')], LOST), "lines");
    expect(seen).toMatchObject({ text: `{"a":1}\n${INTERRUPTION}`, hasFailed: false, ends: [LOST] });
  });
});

describe("the relay", () => {
  test("reads nothing that the client has not asked for", async () => {
    const source = sourceOf(Array.from({ length: 100 }, () => Buffer.from("data: a\n\n")));
    const { reader } = start(Buffer.from("data: a\n\n"), source, "sse");
    await Bun.sleep(0);
    expect(source.reads).toBe(0);
    await reader.read();
    await reader.read();
    await Bun.sleep(0);
    expect(source.reads).toBe(1);
  });

  test("cuts the source when the client leaves, and ends once", async () => {
    const source = sourceOf([Buffer.from("data: b\n\n")]);
    const { ends, reader } = start(Buffer.from("data: a\n\n"), source, "sse");
    await reader.read();
    await reader.cancel();
    await reader.cancel();
    expect(source.cuts).toEqual([{ kind: "client-gone" }]);
    expect(ends).toEqual([{ kind: "client-gone" }]);
  });

  test("ends once also where a read was under way when the client left", async () => {
    const { promise, resolve } = Promise.withResolvers<Read>();
    const { ends, reader } = start(Buffer.from("a"), { read: () => promise, cut: () => {} }, "none");
    await reader.read();
    const next = reader.read();
    await reader.cancel();
    resolve(LOST);
    await Promise.allSettled([next, promise]);
    await Bun.sleep(0);
    expect(ends).toEqual([{ kind: "client-gone" }]);
  });

  test("says nothing to a client that has gone", async () => {
    const seen = await relayed(Buffer.from("data: a\n\n"), sourceOf([], { kind: "client-gone" }));
    expect(seen).toMatchObject({ text: "data: a\n\n", hasFailed: false, ends: [{ kind: "client-gone" }] });
  });

  test("cuts the source of a client that leaves before it has read anything", async () => {
    const source = sourceOf([]);
    const { ends, reader } = start(Buffer.from("data: a\n\n"), source, "sse");
    await reader.cancel();
    expect(source.cuts).toEqual([{ kind: "client-gone" }]);
    expect(ends).toEqual([{ kind: "client-gone" }]);
  });
});
