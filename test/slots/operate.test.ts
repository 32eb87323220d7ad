// The operator's load, unload, restart and swap through the API: what each does to lemond, to requests and to the slot.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack, type Stack } from "../stack.ts";

const act = (stack: Stack, action: string, body: unknown = {}): Promise<Response> =>
  stack.post(`/api/slots/primary/${action}`, body);
const asked = async (response: Response): Promise<unknown> => JSON.parse(await response.text());

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  test("load brings a slot up, and leaves a healthy child alone", async () => {
    await using stack = await startStack({ lemond: { version }, loaded: [] });
    const loaded = await act(stack, "load");
    expect(loaded.status).toBe(200);
    expect(await asked(loaded)).toMatchObject({
      name: "primary",
      state: "ready",
      pid: stack.child().pid,
      generation: 1,
    });
    expect((await act(stack, "load")).status).toBe(200);
    expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect((await stack.slot()).generation).toBe(1);
  });

  test("unload takes it down, and the next request brings it back", async () => {
    await using stack = await startStack({ lemond: { version } });
    const unloaded = await act(stack, "unload");
    expect(unloaded.status).toBe(200);
    expect(await asked(unloaded)).toMatchObject({ state: "offline", url: null, pid: null, last_error: null });
    expect(stack.lemond.listed()).toEqual([]);
    expect([stack.lemond.unloads("tiny-a"), stack.lemond.unloadAlls()]).toEqual([1, 0]);
    expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "loaded" });
  });

  test("restart gives a new child, and the same model with the same options", async () => {
    await using stack = await startStack({ lemond: { version }, loaded: [] });
    await stack.lemond.load("tiny-a", { ctx_size: 2048 });
    await stack.slotIs(({ state }) => state === "ready");
    const { pid } = stack.child();
    expect(await asked(await act(stack, "restart"))).toMatchObject({ state: "ready", generation: 2, model: "tiny-a" });
    expect(stack.child().pid).not.toBe(pid);
    const load = stack.lemond.calls.findLast(({ route }) => route === "/v1/load");
    expect(load?.body).toMatchObject({ model_name: "tiny-a", ctx_size: 2048 });
  });

  test("swap unloads the old model, then loads the new one", async () => {
    await using stack = await startStack({ lemond: { version } });
    const swapped = await act(stack, "swap", { model: "tiny-b" });
    expect(swapped.status).toBe(200);
    expect(await asked(swapped)).toMatchObject({ state: "ready", model: "tiny-b", pid: stack.child("tiny-b").pid });
    const order = stack.lemond.calls
      .filter(({ method }) => method === "POST")
      .map(({ route, model }) => `${route} ${model}`);
    expect(order).toEqual(["/v1/load tiny-a", "/v1/unload tiny-a", "/v1/load tiny-b"]);
    expect((await ended(stack.chat())).text).toContain("tiny-b token 1");
    expect(await promptsOf(stack.child("tiny-a"), stack.child("tiny-b"))).toEqual([0, 1]);
  });

  test("swap to a model that fails: 502 slot.load_failed, and the slot keeps its name, in state error", async () => {
    await using stack = await startStack({ lemond: { version } });
    stack.lemond.failLoads("tiny-b", 10, "too big for this machine");
    const reply = await ended(act(stack, "swap", { model: "tiny-b" }));
    expect(reply).toMatchObject({ status: 502, code: "slot.load_failed" });
    expect(reply.details).toMatchObject({ slot: "primary", model: "tiny-b" });
    expect(reply.details["error"]).toContain("too big for this machine");
    const slot = await stack.slot();
    expect(slot).toMatchObject({ model: "tiny-b", state: "error", url: null });
    expect(slot.last_error).toContain("too big");
    // The old model is not brought back behind the operator's back, and lemond is left in peace.
    expect(await ended(stack.chat())).toMatchObject({ status: 502, label: "backed_off" });
    expect([stack.lemond.count("/v1/load", "tiny-a"), stack.lemond.count("/v1/load", "tiny-b")]).toEqual([1, 1]);
    // An operator may try at once, back-off or not.
    stack.lemond.failLoads("tiny-b", 0);
    expect((await act(stack, "load")).status).toBe(200);
    expect((await ended(stack.chat())).text).toContain("tiny-b token 1");
  });
});

test("only one action at a time: 409 slot.busy for the second, which does nothing", async () => {
  await using stack = await startStack();
  const latch = stack.lemond.holdLoads();
  const restarted = act(stack, "restart");
  await stack.slotIs(({ state }) => state === "starting");
  for (const action of ["load", "unload", "restart", "swap"]) {
    const reply = await ended(act(stack, action, { model: "tiny-b" }));
    expect(reply).toMatchObject({ status: 409, code: "slot.busy", details: { slot: "primary", state: "starting" } });
  }
  latch.release();
  expect((await restarted).status).toBe(200);
  expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([2, 1]);
  expect((await stack.slot()).model).toBe("tiny-a");
});

test("an action while a repair is in flight: 409 slot.busy, and the repair is not disturbed", async () => {
  await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
  await stack.child().kill();
  const latch = stack.lemond.holdLoads();
  const reply = ended(stack.chat());
  await stack.slotIs(({ state }) => state === "starting");
  expect(await ended(act(stack, "unload"))).toMatchObject({ status: 409, code: "slot.busy" });
  latch.release();
  expect(await reply).toMatchObject({ status: 200, label: "recovered" });
});

describe.concurrent("requests in flight", () => {
  test.each(["unload", "restart", "swap"])("are waited for by %s", async (action) => {
    await using stack = await startStack({ server: { drainMs: 5000 } });
    const old = stack.child();
    const stream = ended(stack.chat({ stream: true, sim: { tokens: 10, tokenMs: 40 } }));
    await old.receivedAny();
    const done = act(stack, action, { model: "tiny-b" });
    expect(await stream).toMatchObject({ status: 200, label: null, how: "whole" });
    expect((await done).status).toBe(200);
    expect(stack.lemond.unloads("tiny-a")).toBe(1);
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
  });

  test.each(["unload", "restart", "swap"])("end aloud when %s has waited for drain_s", async (action) => {
    await using stack = await startStack({ server: { drainMs: 200 } });
    const response = await stack.chat({ stream: true, sim: { tokens: 1000, tokenMs: 20 } });
    const startedMs = performance.now();
    const done = act(stack, action, { model: "tiny-b" });
    expect(await ended(response)).toMatchObject({
      status: 200,
      how: "interrupted",
      code: "dispatch.stream_interrupted",
    });
    expect(performance.now() - startedMs).toBeWithin(190, 4000);
    expect((await done).status).toBe(200);
    expect(stack.lemond.unloads("tiny-a")).toBe(1);
    // No repair brings back what the operator took down.
    expect(stack.repairs).toEqual([]);
    expect(stack.lemond.loads("tiny-a")).toBe(action === "restart" ? 2 : 1);
  });

  test("are cut by nobody while drain_s lasts, and new ones meet the gate", async () => {
    await using stack = await startStack({ server: { drainMs: 5000 } });
    const stream = ended(stack.chat({ stream: true, sim: { tokens: 12, tokenMs: 40 } }));
    await stack.child().receivedAny();
    const done = act(stack, "unload");
    const reply = await ended(stack.chat());
    expect(reply).toMatchObject({ status: 503, code: "slot.loading", details: { progress: { phase: "draining" } } });
    expect(stack.lemond.unloads()).toBe(0);
    expect(await stream).toMatchObject({ how: "whole" });
    expect((await done).status).toBe(200);
  });
});

test("an unknown slot is 404 slot.not_found, a swap without a model 400, a swap to another slot's model refused", async () => {
  const slots = [
    { name: "primary", model: "tiny-a", isDefault: true },
    { name: "second", model: "tiny-b" },
  ];
  await using stack = await startStack({ slots });
  expect(await ended(stack.post("/api/slots/nobody/load", {}))).toMatchObject({ status: 404, code: "slot.not_found" });
  expect(await ended(act(stack, "swap"))).toMatchObject({ status: 400, code: "request.invalid" });
  expect(await ended(act(stack, "swap", { model: "tiny-b" }))).toMatchObject({ status: 400, code: "request.invalid" });
  expect([stack.lemond.count("/v1/load"), stack.lemond.unloads()]).toEqual([1, 0]);
});
