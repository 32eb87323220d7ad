// A stream that began with a heartbeat, whose client leaves at the very moment at which the reply comes. No sockets.
import { expect, test } from "bun:test";
import type { Reply } from "../../src/dispatch/attempt.ts";
import type { Sent } from "../../src/dispatch/call.ts";
import { openDecision } from "../../src/dispatch/decision.ts";
import { streamOfReply, streamOfWait } from "../../src/dispatch/reply.ts";
import type { Result } from "../../src/dispatch/result.ts";
import { createWait } from "../../src/dispatch/wait.ts";
import { createAccepted } from "../../src/http/accepted.ts";
import type { ModelRoute } from "../../src/http/routes.ts";
import { createLog } from "../../src/observe/log.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { createRecords } from "../../src/observe/records.ts";
import { sourceOf } from "../relayed.ts";

const ROUTE: ModelRoute = {
  path: "chat/completions",
  dialect: "openai",
  isViaLemond: false,
  childPath: "chat/completions",
  streamsByDefault: false,
};

test("a reply that comes for a client that has left is closed, and its end is told", async () => {
  const log = createLog("error", () => {});
  const metrics = createMetrics("0");
  const deps = { log, metrics, records: createRecords({ folder: null, log, metrics }), now: () => 0 };
  const decision = openDecision(ROUTE, "request", deps);
  const { promise, resolve } = Promise.withResolvers<Result>();
  const accepted = createAccepted();
  const streamed = { decision, entry: accepted.enter(), client: new AbortController().signal };
  const wait = createWait(promise, { everyMs: 0, beat: () => "", now: () => 0 });
  const reader = streamOfWait(streamed, Buffer.from(": loading\n\n"), wait, promise).body?.getReader();
  expect((await reader?.read())?.value).toEqual(Buffer.from(": loading\n\n"));
  const next = reader?.read();
  await reader?.cancel();
  const source = sourceOf([Buffer.from("data: late\n\n")]);
  const reply: Reply = {
    kind: "reply",
    status: 200,
    headers: new Headers(),
    first: Buffer.from(""),
    source,
    framing: "sse",
  };
  const ends: unknown[] = [];
  const sent: Sent = { outcome: reply, label: null, target: "", headers: {}, end: (cause) => void ends.push(cause) };
  resolve({ kind: "reply", reply, sent });
  await Promise.allSettled([promise, next]);
  expect([source.cuts, ends, source.reads]).toEqual([[{ kind: "client-gone" }], [null], 0]);
  expect(accepted.count).toBe(0);
});

test("a client that leaves before it has read anything is recorded, although it never cancels the body", () => {
  const log = createLog("error", () => {});
  const metrics = createMetrics("0");
  const records = createRecords({ folder: null, log, metrics });
  const deps = { log, metrics, records, now: () => 0 };
  const decision = openDecision(ROUTE, "request", deps);
  const client = new AbortController();
  const accepted = createAccepted();
  const source = sourceOf([]);
  const reply: Reply = {
    kind: "reply",
    status: 200,
    headers: new Headers(),
    first: Buffer.from(""),
    source,
    framing: "sse",
  };
  const sent = { outcome: reply, label: null, target: "", headers: {}, end: () => {} };
  streamOfReply({ decision, entry: accepted.enter(), client: client.signal }, reply, { sent });
  expect(records.requests()).toEqual([]);
  client.abort();
  expect(records.requests()).toMatchObject([{ request_id: "request", status: 499 }]);
});
