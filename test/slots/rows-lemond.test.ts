// Section 4 over real sockets: the rows that lemond's answer decides.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

/** The poll stays out of the way: what is noticed is noticed by requests. */
const unwatched = { pollMs: 60_000, touchMs: 0 };

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  test("refuses connections: the original error, and nothing is sent to it", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const child = stack.child();
    await stack.lemond.kill();
    await child.kill();
    const calls = stack.lemond.calls.length;
    const startedMs = performance.now();
    const reply = await ended(stack.chat());
    expect(performance.now() - startedMs).toBeLessThan(2000);
    expect(reply).toMatchObject({ status: 502, label: "failed", code: "dispatch.upstream_unavailable" });
    expect(reply.details).toMatchObject({ error: "ConnectError", target: `${child.url}/chat/completions` });
    expect(stack.logged("dispatch.recover_evicted_slot_failed").length).toBe(1);
    expect(stack.logged("lemonade.provider.load")).toEqual([]);
    expect(stack.logged("lemonade.provider.unload")).toEqual([]);
    // There was no load that failed: no back-off, and with lemond back the next request is served.
    await stack.lemond.restart();
    expect(stack.lemond.calls.length).toBe(calls);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, how: "whole" });
    expect(stack.lemond.loads()).toBe(2);
  });

  test("lists the model at another port: take it, attempt 2 there", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const old = stack.child();
    await stack.lemond.unload("tiny-a");
    await stack.lemond.load("tiny-a");
    const moved = stack.child();
    expect(moved.url).not.toBe(old.url);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "retargeted", how: "whole" });
    expect(await promptsOf(moved)).toEqual([1]);
    expect(await stack.slot()).toMatchObject({ url: moved.url, pid: moved.pid, generation: 2, state: "ready" });
    // The test's own calls and no others.
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([2, 1]);
    expect(stack.logged("dispatch.upstream_recovered")).toEqual([
      expect.objectContaining({ slot: "primary", outcome: "retargeted", from: old.url, to: moved.url }),
    ]);
  });

  test("lists the model at the same port under another pid: take it, attempt 2 there", async () => {
    await using stack = await startStack({ lemond: { version, ports: "reuse" }, lemonade: unwatched });
    const old = stack.child();
    await stack.lemond.unload("tiny-a");
    await stack.lemond.load("tiny-a");
    const moved = stack.child();
    expect([moved.url === old.url, moved.pid === old.pid]).toEqual([true, false]);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "retargeted", how: "whole" });
    expect(await promptsOf(moved)).toEqual([1]); // Its own attempt 2; attempt 1 was never dialled.
    expect(await stack.slot()).toMatchObject({ pid: moved.pid, generation: 2 });
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([2, 1]);
  });

  test("does not list the model: load only", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    await stack.lemond.unload("tiny-a");
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(stack.lemond.loads()).toBe(2);
    expect(stack.lemond.unloads()).toBe(1); // The test's own.
    expect(stack.logged("lemonade.provider.unload")).toEqual([]);
    expect(stack.logged("slot.recover_evicted_dispatched")).toEqual([
      expect.objectContaining({ slot: "primary", model: "tiny-a" }),
    ]);
  });

  test("fails the load: state error, back-off, and the original error for the client", async () => {
    await using stack = await startStack({ lemond: { version }, lemonade: unwatched });
    const child = stack.child();
    await child.set({ dieOnPost: { when: "before-headers" } });
    stack.lemond.failLoads("tiny-a", 10, "no memory left");
    const reply = await ended(stack.chat({ stream: true }));
    expect(reply).toMatchObject({ status: 502, label: "failed", code: "dispatch.upstream_unavailable" });
    expect(reply.details).toMatchObject({ error: "RemoteProtocolError", cause: "reset" });
    expect(reply.text).not.toContain("memory");
    expect(reply.headers.get("retry-after")).toBe("5");
    const slot = await stack.slot();
    expect(slot).toMatchObject({ state: "error", url: null, pid: null, repairs: { recovered: 0, failed: 1 } });
    expect(slot.last_error).toContain("no memory left");
    expect(stack.lemond.count("/v1/load")).toBe(2);
    expect(stack.logged("dispatch.forward_stream_open_failed").length).toBe(1);
    expect(stack.logged("dispatch.upstream_recovered")).toEqual([]);
  });
});

test("lemond says yes to the load and does not list the model: the same as a failed load", async () => {
  await using lemond = await startLemond({ version: "10.6" });
  let isLying = false;
  const lie = Response.json.bind(Response, { status: "success" });
  await using between = startBetween(lemond, ({ path, pass }) => (isLying && path === "/v1/load" ? lie() : pass()));
  await using stack = await startStack({ sharedLemond: between, lemonade: unwatched });
  isLying = true;
  await lemond.unload("tiny-a");
  const reply = await ended(stack.chat());
  expect(reply).toMatchObject({ status: 502, label: "failed", details: { error: "ConnectError" } });
  expect(await stack.slot()).toMatchObject({ state: "error", last_error: expect.stringContaining("not listed") });
  expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "backed_off" });
  expect(lemond.loads()).toBe(1);
});

test("lemond says yes to the load and lists the dead child still: the same as a failed load", async () => {
  await using lemond = await startLemond({ version: "10.6" });
  let isLying = false;
  const lie = Response.json.bind(Response, { status: "success" });
  await using between = startBetween(lemond, ({ method, pass }) => (isLying && method === "POST" ? lie() : pass()));
  await using stack = await startStack({ sharedLemond: between, lemonade: unwatched });
  isLying = true;
  await stack.child().kill();
  expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "failed" });
  expect(await stack.slot()).toMatchObject({ state: "error", url: null, generation: 1 });
});

describe("lemond does not answer", () => {
  test("until hold_s ends: the original error with Retry-After, and nothing was sent", async () => {
    const slots = [{ name: "primary", model: "tiny-a", holdMs: 300 }];
    await using stack = await startStack({ lemonade: unwatched, slots });
    const child = stack.child();
    await child.kill();
    stack.lemond.setMute(true);
    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable" });
    expect(reply.details).toMatchObject({ error: "ConnectError", target: `${child.url}/chat/completions` });
    expect(reply.headers.get("retry-after")).toBe("15");
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    stack.lemond.setMute(false);
  });
});
