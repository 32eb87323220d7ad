// load, unload and delete on lemond's own paths: an operator's actions on slots, in lemond's words; what is nobody's goes on.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { errorOf } from "../envelope.ts";
import { startLemond } from "../lemond/index.ts";
import { stackConfig, startStack, type Stack } from "../stack.ts";

const SLOTS = [
  {
    name: "primary",
    model: "tiny-a",
    isDefault: true,
    aliases: ["gpt-4o"],
    load: { ctx_size: 2048, llamacpp_args: "--own" },
  },
  { name: "second", model: "tiny-b" },
];
const bodies = ({ lemond }: Stack, route: string): unknown[] =>
  lemond.calls.filter((call) => call.route === route).map(({ body }) => body);

describe.each(["10.6", "11.7"] as const)("at lemond %s", (version) => {
  const options = { slots: SLOTS, lemond: { version, maxModels: 2 }, lemonade: { pollMs: 60_000 } };

  test("a load by a slot's name or alias loads its model, with the client's options over the slot's; the reply is lemond's", async () => {
    await using stack = await startStack({ ...options, loaded: [] });
    const direct = await (await stack.lemond.load("tiny-b")).json();
    const response = await stack.post("/api/v1/load", { model_name: "gpt-4o", ctx_size: 4096, save_options: true });
    expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, "primary"]);
    const reply = await response.json();
    expect(Object.keys(reply as object)).toEqual(Object.keys(direct as object));
    expect(reply).toMatchObject({ model_name: "tiny-a", status: "success" });
    expect(bodies(stack, "/v1/load").at(-1)).toEqual({
      ctx_size: 4096,
      llamacpp_args: "--own",
      model_name: "tiny-a",
      save_options: true,
    });
    expect(await stack.slot()).toMatchObject({ state: "ready", pid: stack.child().pid });
    expect((await ended(stack.chat())).status).toBe(200);
    expect(stack.lemond.loads("tiny-a")).toBe(1);
  });

  test("an unload waits for the requests on the slot, and then lets go of its child", async () => {
    await using stack = await startStack(options);
    const stream = ended(stack.chat({ stream: true, sim: { tokens: 20, tokenMs: 20 } }));
    await stack.slotIs(({ in_flight }) => in_flight === 1);
    const response = await stack.post("/v1/unload", { model_name: "primary" });
    expect(await stream).toMatchObject({ status: 200, how: "whole" });
    expect([response.status, await response.json()]).toEqual([
      200,
      { message: "Model unloaded successfully", model_name: "tiny-a", status: "success" },
    ]);
    expect(await stack.slot()).toMatchObject({ state: "offline", url: null, pid: null });
    expect([stack.lemond.unloads("tiny-a"), stack.lemond.unloadAlls()]).toEqual([1, 0]);
  });

  test("an unload of what is not loaded is refused as lemond refuses it", async () => {
    await using stack = await startStack({ ...options, loaded: [] });
    const response = await stack.post("/v1/unload", { model: "second" });
    expect([response.status, await response.json()]).toEqual([404, { error: "Model not loaded: tiny-b" }]);
  });

  test.each([
    ["an empty body", ""],
    ["no name", "{}"],
    ["a name that is none", '{"model_name":5}'],
    ["an empty name", '{"model_name":"","model":"primary"}'],
    ["another field", '{"name":"primary"}'],
  ])("an unload with %s unloads every slot, one by one and by name", async (_, body) => {
    await using stack = await startStack({ ...options, loaded: ["tiny-a", "tiny-b"] });
    const response = await stack.post("/v1/unload", body);
    expect([response.status, await response.json()]).toEqual([
      200,
      { message: "All models unloaded successfully", status: "success" },
    ]);
    expect(bodies(stack, "/v1/unload")).toEqual([{ model_name: "tiny-a" }, { model_name: "tiny-b" }]);
    expect(stack.lemond.unloadAlls()).toBe(0);
    for (const name of ["primary", "second"]) expect((await stack.slot(name)).state).toBe("offline");
  });

  test("a body that is no JSON object never reaches lemond", async () => {
    await using stack = await startStack(options);
    for (const path of ["/v1/load", "/v1/unload", "/v1/delete"])
      for (const body of ["{", "[]", '"tiny-a"', "null", "model_name=tiny-a", "\xff"]) {
        const response = await stack.post(path, body);
        expect([path, body, response.status, (await errorOf(response)).code]).toEqual([
          path,
          body,
          400,
          "request.invalid",
        ]);
      }
    for (const path of ["/v1/load", "/v1/delete"]) expect((await stack.post(path, "")).status).toBe(400);
    expect([stack.lemond.unloads(), stack.lemond.unloadAlls(), stack.lemond.loads()]).toEqual([0, 0, 1]);
    expect(stack.lemond.calls.filter(({ route }) => route === "/v1/delete").length).toBe(0);
  });
});

test("a delete has its model unloaded from the slot first, under whichever of its names", async () => {
  await using stack = await startStack({ slots: SLOTS, lemonade: { pollMs: 60_000 } });
  const response = await stack.post("/v1/delete", { model: "primary", model_name: "primary" });
  expect(response.status).toBe(200);
  expect(bodies(stack, "/v1/delete")).toEqual([{ model: "tiny-a", model_name: "tiny-a" }]);
  expect(await stack.slot()).toMatchObject({ state: "offline", pid: null });
});

test("Ollama's delete does the same, by name before model, and is refused in Ollama's way", async () => {
  await using stack = await startStack({ slots: SLOTS, lemonade: { pollMs: 60_000 } });
  const ask = (body: string): Promise<Response> => fetch(`${stack.url}/api/delete`, { method: "DELETE", body });
  const broken = await ask("{");
  expect([broken.status, await broken.json()]).toEqual([400, { error: "The request body is not valid JSON." }]);
  expect((await ask('{"name":"primary:latest","model":"second"}')).status).toBe(200);
  const [call] = stack.lemond.calls.filter(({ path }) => path === "/api/delete");
  expect([call?.method, call?.body]).toEqual(["DELETE", { name: "tiny-a", model: "tiny-a" }]);
  expect(await stack.slot()).toMatchObject({ state: "offline", pid: null });
});

test("while one acts on a slot another is told so, as any operator is", async () => {
  await using stack = await startStack({ slots: SLOTS, loaded: [], lemonade: { pollMs: 60_000 } });
  const loads = stack.lemond.holdLoads();
  const first = stack.post("/v1/load", { model_name: "primary" });
  await stack.lemond.received("/v1/load");
  const second = await stack.post("/v1/load", { model_name: "tiny-a" });
  expect([second.status, (await errorOf(second)).code]).toEqual([409, "slot.busy"]);
  const held = await stack.chat();
  expect([held.status, (await errorOf(held)).code]).toEqual([503, "slot.loading"]);
  loads.release();
  expect((await first).status).toBe(200);
  expect(stack.lemond.loads()).toBe(1);
});

test("a model that is nobody's slot is lemond's alone, byte for byte", async () => {
  await using stack = await startStack({ slots: SLOTS, lemonade: { autoSlots: false, pollMs: 60_000 } });
  const body = '{ "model_name":"tiny-emb",  "x": 1.0 }';
  expect((await stack.post("/v1/load", body)).status).toBe(200);
  expect(stack.lemond.calls.findLast(({ route }) => route === "/v1/load")?.bodyBytes).toBe(body.length);
  const unknown = await stack.post("/v1/load", { model_name: "nothing" });
  expect(unknown.status).toBe(404);
  expect(JSON.stringify(await unknown.json())).toContain("nothing");
});

test("a load that lemond refuses with a reason fails in lemond's own words", async () => {
  await using stack = await startStack({ slots: SLOTS, loaded: [], lemonade: { pollMs: 60_000 } });
  stack.lemond.failLoads("tiny-a", 2, "out of memory");
  const response = await stack.post("/v1/load", { model_name: "primary" });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(await response.text()).toContain("out of memory");
  expect((await stack.slot()).state).toBe("error");
});

test("of two lemonds a slot's name means its own, and a model's name the first", async () => {
  await using attic = await startLemond();
  await using stack = await startStack({
    loaded: [],
    slots: [{ name: "far", model: "tiny-a", lemonade: "attic" }],
    lemonades: [{ ...stackConfig(attic.url).lemonade, name: "attic", autoSlots: false }],
  });
  expect((await stack.post("/v1/load", { model_name: "far" })).status).toBe(200);
  expect([stack.lemond.loads(), attic.loads("tiny-a")]).toEqual([0, 1]);
  expect((await stack.post("/v1/load", { model_name: "tiny-a" })).status).toBe(200);
  expect([stack.lemond.loads("tiny-a"), attic.loads()]).toEqual([1, 1]);
  // What unloads everything unloads what the first one has.
  expect((await stack.post("/v1/unload", "")).status).toBe(200);
  expect([stack.lemond.unloads("tiny-a"), attic.unloads()]).toEqual([1, 0]);
});
