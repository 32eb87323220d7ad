// A wait with a client that hears of it: which bytes come in which order. The clock is the test's own where it can be.
import { expect, test } from "bun:test";
import { comment, createWait, stepOf, type WaitStep } from "../../src/dispatch/wait.ts";

const later = <T>() => Promise.withResolvers<T>();
const text = (step: WaitStep<unknown>): string | unknown =>
  "bytes" in step ? Buffer.from(step.bytes).toString() : step.value;
const options = { everyMs: 0, beat: () => "beat", now: () => 0 };

test("what is there already comes without a heartbeat", async () => {
  const wait = createWait(Promise.resolve("reply"), { ...options, everyMs: 1, now: () => 0 });
  expect(text(await stepOf(wait))).toBe("reply");
});

test("comments come before what was waited for, in their order", async () => {
  const { promise, resolve } = later<string>();
  const wait = createWait(promise, options);
  comment(wait, Buffer.from(": a\n\n"));
  comment(wait, Buffer.from(": b\n\n"));
  resolve("reply");
  await promise;
  expect([await stepOf(wait), await stepOf(wait), await stepOf(wait)].map(text)).toEqual([
    ": a\n\n",
    ": b\n\n",
    "reply",
  ]);
});

test("a comment wakes who waits already", async () => {
  const wait = createWait(new Promise(() => {}), options);
  const step = stepOf(wait);
  comment(wait, Buffer.from(":\n\n"));
  expect(text(await step)).toBe(":\n\n");
});

test("a heartbeat comes after each silence, and none is made up for", async () => {
  let nowMs = 0;
  let beats = 0;
  const wait = createWait(new Promise(() => {}), { everyMs: 5, beat: () => `beat ${++beats}`, now: () => nowMs });
  nowMs = 17;
  expect(text(await stepOf(wait))).toBe("beat 1");
  const second = stepOf(wait);
  nowMs = 21.9;
  expect(await Promise.race([second, Bun.sleep(20).then(() => "silence")])).toBe("silence");
  nowMs = 22;
  expect(text(await second)).toBe("beat 2");
});

test("a comment is no silence", async () => {
  let nowMs = 0;
  const wait = createWait(new Promise(() => {}), { ...options, everyMs: 5, now: () => nowMs });
  nowMs = 4;
  comment(wait, Buffer.from(":\n\n"));
  expect(text(await stepOf(wait))).toBe(":\n\n");
  nowMs = 8;
  const next = stepOf(wait);
  expect(await Promise.race([next, Bun.sleep(20).then(() => "silence")])).toBe("silence");
  nowMs = 9;
  expect(text(await next)).toBe("beat");
});

test("no heartbeat comes where there shall be none", async () => {
  const { promise, resolve } = later<string>();
  const wait = createWait(promise, { ...options, now: () => 1e9 });
  const step = stepOf(wait);
  expect(await Promise.race([step, Bun.sleep(20).then(() => "silence")])).toBe("silence");
  resolve("reply");
  expect(text(await step)).toBe("reply");
});

test("a heartbeat that falls due between two looks at the clock brings no warning about a timer in the past", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  const times = [0, 9, 11];
  const wait = createWait(new Promise(() => {}), { everyMs: 10, beat: () => "beat", now: () => times.shift() ?? 20 });
  expect(await stepOf(wait)).toEqual({ bytes: new TextEncoder().encode("beat") });
  await Bun.sleep(0); // A warning is told in the next turn.
  process.off("warning", note);
  expect(warnings).toEqual([]);
});
