// The fork in a stream's way: before the first heartbeat every end is a status, after it an event. Tables, no sockets.
import { describe, expect, test } from "bun:test";
import type { Reply } from "../../src/dispatch/attempt.ts";
import type { Sent } from "../../src/dispatch/call.ts";
import { heartbeatOf, type WaitProgress } from "../../src/dispatch/heartbeat.ts";
import { formOf, type Result, statusOf } from "../../src/dispatch/result.ts";
import type { Framing } from "../../src/dispatch/sse.ts";
import { DispatchError, type Dialect } from "../../src/http/errors.ts";
import { MODEL_ROUTES } from "../../src/http/routes.ts";
import { sourceOf } from "../relayed.ts";

const sent: Sent = { outcome: { kind: "client-gone" }, label: null, target: "", headers: {}, end: () => {} };
const answered = (status: number, rest: { body: Uint8Array } | { framing: Framing }): Result => {
  const stream = "body" in rest ? rest : { first: new Uint8Array(), source: sourceOf([]), ...rest };
  const reply: Reply = { kind: "reply", status, headers: new Headers(), ...stream };
  return { kind: "reply", reply, sent };
};
const plain = (status: number, text: string): Result => answered(status, { body: Buffer.from(text) });
const failed = (
  code: "dispatch.upstream_unavailable" | "slot.loading",
  headers: Record<string, string> = {},
): Result => ({
  kind: "error",
  error: new DispatchError(code, "no", { slot: "primary" }, headers),
});

const RESULTS: readonly (readonly [string, number, Result])[] = [
  ["a stream", 200, answered(200, { framing: "sse" })],
  ["a stream with an error's status", 500, answered(500, { framing: "sse" })],
  ["a stream that is no SSE", 200, answered(200, { framing: "none" })],
  ["a plain reply", 200, plain(200, "{}")],
  ["an upstream's own error", 400, plain(400, '{"error":{"code":400,"message":"too long","type":"x"}}')],
  ["an error in one text", 404, plain(404, '{"error":"Model not loaded: X"}')],
  ["an error without JSON", 500, plain(500, "<html>")],
  ["a lost upstream", 502, failed("dispatch.upstream_unavailable")],
  ["a slot that loads", 503, failed("slot.loading", { "retry-after": "7" })],
  ["a client that has gone", 499, { kind: "client-gone" }],
];

describe.each(RESULTS)("%s", (what, status, result) => {
  test(`is recorded as ${status}, whether heartbeats went out or not`, () => expect(statusOf(result)).toBe(status));

  test("is a response of its own before the first heartbeat", () =>
    expect(formOf(result, false, "primary", "openai")).toEqual({ as: "response" }));

  test("does not change the status after it", () => {
    const form = formOf(result, true, "primary", "openai");
    const expected = what === "a stream" ? "events" : "last-event";
    expect(form.as).toBe(expected);
    if (form.as === "last-event") expect(form.text).not.toContain("[DONE]");
  });
});

/** The last event's data after heartbeats. */
function lastEvent(result: Result, dialect: Dialect = "openai"): unknown {
  const form = formOf(result, true, "primary", dialect);
  if (form.as !== "last-event") throw new Error(form.as);
  const [, data] = /^(?:event: [a-z.]+\n)?data: (\{.*\})\n\n$/.exec(form.text) ?? [];
  return JSON.parse(data ?? "null");
}

describe("after the first heartbeat", () => {
  test("an upstream's own error keeps its object", () => {
    const error = { code: 400, message: "too long", type: "x" };
    expect(lastEvent(plain(400, JSON.stringify({ error })))).toEqual({ error });
    expect(lastEvent(plain(400, JSON.stringify({ error })), "anthropic")).toEqual({ type: "error", error });
    expect(lastEvent(plain(400, JSON.stringify({ error })), "responses")).toEqual({
      type: "response.failed",
      response: { status: "failed", error: { code: 400, message: "too long" } },
      error,
    });
    expect(lastEvent(plain(404, '{"error":"Model not loaded: X"}'))).toEqual({
      error: { message: "Model not loaded: X" },
    });
  });

  test("what cannot be an event is an error of ours that names the upstream", () => {
    for (const result of [
      plain(500, "<html>"),
      plain(200, "{}"),
      plain(500, "null"),
      answered(200, { framing: "none" }),
    ])
      expect(lastEvent(result)).toMatchObject({
        error: { code: "dispatch.upstream_unavailable", details: { upstream: "primary", status: statusOf(result) } },
      });
  });

  test("an error of ours says when to come back, where a status would have had Retry-After", () => {
    for (const dialect of ["openai", "anthropic", "responses"] as const) {
      const slow = lastEvent(failed("slot.loading", { "retry-after": "7" }), dialect);
      expect(slow).toMatchObject({ error: { code: "slot.loading", retry_after_s: 7 } });
      expect(JSON.stringify(lastEvent(failed("dispatch.upstream_unavailable"), dialect))).not.toContain(
        "retry_after_s",
      );
    }
    expect(lastEvent(failed("slot.loading"), "anthropic")).toMatchObject({ error: { type: "overloaded_error" } });
  });

  test("a client that has gone is told nothing", () =>
    expect(formOf({ kind: "client-gone" }, true, "primary", "openai")).toEqual({ as: "last-event", text: "" }));
});

describe("a heartbeat", () => {
  const progress: WaitProgress = { phase: "loading", elapsedS: 12, aboutS: 41 };

  test.each<[string, WaitProgress, string]>([
    ["names phase, slot and time", { ...progress, aboutS: null }, ": loading of primary, 12 s\n\n"],
    ["says how long loads take", progress, ": loading of primary, 12 s of about 41 s\n\n"],
    ["says so of loads alone", { ...progress, phase: "checking" }, ": checking of primary, 12 s\n\n"],
    ["of a prompt", { ...progress, phase: "reading the prompt" }, ": reading the prompt of primary, 12 s\n\n"],
  ])("%s", (_, given, text) => {
    for (const path of ["chat/completions", "completions", "responses"])
      expect(heartbeatOf(path)?.("primary", given)).toBe(text);
  });

  test("of messages is Anthropic's ping", () =>
    expect(heartbeatOf("messages")?.("primary", progress)).toBe('event: ping\ndata: {"type":"ping"}\n\n'));

  test("is none on other routes", () => {
    const routes = [...MODEL_ROUTES.values()].filter(({ path }) => heartbeatOf(path) !== null);
    expect([...new Set(routes.map(({ path }) => path))]).toEqual([
      "chat/completions",
      "completions",
      "responses",
      "messages",
    ]);
  });

  test("stays one comment whatever the slot is called", () =>
    expect(heartbeatOf("completions")?.("a\n\ndata: b\r", progress)).toBe(
      ": loading of a??data: b?, 12 s of about 41 s\n\n",
    ));
});
