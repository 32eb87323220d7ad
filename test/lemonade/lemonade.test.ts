// The client of lemond's control API: what it makes of lemond's answers, and what it sends. Odd answers come from a raw
// socket, ordinary ones from the simulated Lemonade.
import { describe, expect, test } from "bun:test";
import { createLemonade, type Lemonade } from "../../src/lemonade/lemonade.ts";
import { startLemond } from "../lemond/index.ts";
import { startRemote } from "../remote.ts";

const clientOf = (url: string, apiKey: string | null = null): Lemonade =>
  createLemonade({ url, apiKey, loadTimeoutMs: 300 });

const reply = (body: string, status = 200): string =>
  `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const MODEL = {
  model_name: "tiny-a",
  backend_url: "http://127.0.0.1:8001/v1",
  pid: 42,
  checkpoint: "/models/tiny-a.gguf",
  type: "llm",
  recipe_options: { ctx_size: 4096, llamacpp: { nested: [1] } },
};
const LOADED = {
  model: "tiny-a",
  url: "http://127.0.0.1:8001/v1",
  pid: 42,
  checkpoint: "/models/tiny-a.gguf",
  type: "llm",
  options: { ctx_size: 4096, llamacpp: { nested: [1] } },
  recipe: "llamacpp",
  isReachable: true,
  lastUse: null,
  isBusy: false,
};

describe("health", () => {
  const told = async (body: string, status = 200) => {
    await using lemond = await startRemote(reply(body, status));
    return await clientOf(lemond.url).health(1);
  };

  test("is a listing, whatever else stands in it", async () => {
    const health = {
      status: "ok",
      version: "11.7.0",
      model_loaded: "tiny-a",
      max_models: { llm: 1, embedding: -1, oddity: { deep: true } },
      all_models_loaded: [{ ...MODEL, last_use: 5, future: { field: [null] } }],
      future: [1, { two: 3 }],
    };
    expect(await told(JSON.stringify(health))).toMatchObject({
      kind: "listing",
      askedAt: 1,
      version: "11.7.0",
      modelLoaded: "tiny-a",
      maxModels: health.max_models,
      loaded: [{ ...LOADED, lastUse: 5 }],
    });
  });

  test("may say no more than that nothing is loaded", async () => {
    expect(await told('{"all_models_loaded":[]}')).toMatchObject({
      kind: "listing",
      askedAt: 1,
      version: "unknown",
      modelLoaded: null,
      maxModels: {},
      loaded: [],
    });
  });

  test("passes over entries that cannot be used, not over the others", async () => {
    const odd = [
      null,
      7,
      "tiny-x",
      [],
      {},
      { ...MODEL, backend_url: "" },
      { ...MODEL, backend_url: "not a url" },
      { ...MODEL, model_name: null },
      { ...MODEL, pid: "42" },
      { ...MODEL, recipe_options: "none" },
    ];
    const answer = await told(JSON.stringify({ all_models_loaded: [...odd, MODEL] }));
    expect(answer).toMatchObject({ kind: "listing", loaded: [LOADED] });
  });

  test("knows a model of which lemond says little", async () => {
    const { model_name, backend_url } = MODEL;
    const little = { model_name, backend_url: `${backend_url}///`, pid: null, checkpoint: null };
    expect(await told(JSON.stringify({ all_models_loaded: [little] }))).toMatchObject({
      loaded: [{ ...LOADED, pid: null, checkpoint: null, options: null }],
    });
  });

  test.each([
    ["", "nothing"],
    ["<html>busy</html>", "a page"],
    ["null", "null"],
    ["[]", "a list"],
    ['{"status":"ok"}', "no list of models"],
    ['{"all_models_loaded":{}}', "a list that is none"],
    ['{"all_models_loaded":[]', "half an answer"],
  ])("of %p says nothing: %s", async (body) => {
    expect(await told(body)).toEqual({ kind: "silent", cause: "health is not what lemond answers" });
  });

  test.each([401, 403])("with status %d is a refusal of our key", async (status) => {
    const cause = `health answered ${status}: Invalid API key`;
    expect(await told('{"error":{"message":"Invalid API key"}}', status)).toEqual({ kind: "denied", cause });
  });

  test.each([
    [500, '{"error":"out of memory"}', "health answered 500: out of memory"],
    [503, "<html>", "health answered 503: no error text"],
    [302, "", "health answered 302: no error text"],
    [500, JSON.stringify({ error: "x".repeat(999) }), `health answered 500: ${"x".repeat(300)}`],
  ])("with status %d says nothing", async (status, body, cause) => {
    expect(await told(body, status)).toEqual({ kind: "silent", cause });
  });
});

describe("a lemond that does not answer", () => {
  test("refuses, or is silent, or breaks off: told apart, and none is thrown", async () => {
    const gone = await startRemote();
    await gone[Symbol.asyncDispose]();
    const refused = clientOf(gone.url);
    expect(await refused.health(1)).toEqual({ kind: "refused" });
    expect(await refused.isLive()).toBe(false);
    expect([await refused.models(), refused.modelsFault()]).toEqual([null, "ECONNREFUSED"]);
    expect(await refused.load("tiny-a", {})).toEqual({ ok: false, status: null, error: "ECONNREFUSED", reply: null });
    expect(await refused.unload("tiny-a")).toEqual({ ok: false, status: null, error: "ECONNREFUSED", reply: null });

    await using breaking = await startRemote("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{");
    const broken = clientOf(breaking.url);
    expect(await broken.health(1)).toEqual({ kind: "silent", cause: "ECONNRESET" });
    expect([await broken.models(), broken.modelsFault()]).toEqual([null, "ECONNRESET"]);
    expect(await broken.isLive()).toBe(false);
    expect(await broken.load("tiny-a", {})).toEqual({ ok: false, status: null, error: "ECONNRESET", reply: null });
  });

  test("gives no model list but a stranger's: that is told apart from silence", async () => {
    await using stranger = await startRemote(reply("{}", 200));
    const client = clientOf(stranger.url);
    expect([await client.models(), client.modelsFault()]).toEqual([null, "the model list is not what lemond answers"]);
  });

  test("is waited for 3 s, a load as long as it is given", async () => {
    await using mute = await startRemote(() => null);
    const client = clientOf(mute.url);
    const startedMs = performance.now();
    const loads = Promise.all([client.load("tiny-a", {}), client.load("tiny-a", {}, 100), client.unload("tiny-a")]);
    const asked = Promise.all([client.health(1), client.isLive(), client.models()]);
    const late = { ok: false as const, status: null, error: "no answer in time", reply: null };
    expect(await loads).toEqual([late, late, late]);
    expect(performance.now() - startedMs).toBeLessThan(1500);
    expect(await asked).toEqual([{ kind: "silent", cause: "no answer in time" }, false, null]);
    expect(performance.now() - startedMs).toBeWithin(2900, 4500);
  }, 10_000);
});

describe("what lemond refuses", () => {
  test.each([
    ['{"error":"Model not loaded: tiny-a"}', "Model not loaded: tiny-a"],
    ['{"error":{"message":"no such model","type":"not_found"}}', "no such model"],
    ['{"error":{"code":5}}', "no error text"],
    ['{"detail":"x"}', "no error text"],
    ['{"error":null}', "no error text"],
    ["Not Found", "no error text"],
    ["", "no error text"],
  ])("is told in its own words where it has any: %p", async (body, error) => {
    await using lemond = await startRemote(reply(body, 404));
    const client = clientOf(lemond.url);
    expect(await client.unload("tiny-a")).toMatchObject({ ok: false, status: 404, error });
    expect(await client.load("tiny-a", {})).toMatchObject({ ok: false, status: 404, error });
  });
});

describe.each(["10.6", "11.7"] as const)("against lemond %s", (version) => {
  test("a model is loaded with its options, listed, and unloaded by name", async () => {
    await using lemond = await startLemond({ version });
    const client = createLemonade({ url: lemond.url, apiKey: null, loadTimeoutMs: 5000 });
    expect(await client.isLive()).toBe(true);
    expect((await client.models())?.map(({ id }) => id)).toContain("tiny-a");
    expect(client.modelsFault()).toBeNull();
    expect(await client.load("tiny-a", { ctx_size: 2048 })).toMatchObject({ ok: true });
    const child = lemond.child("tiny-a");
    const { url, pid, checkpoint } = child ?? {};
    const listing = await client.health(1);
    expect(listing).toMatchObject({
      kind: "listing",
      loaded: [{ model: "tiny-a", url, pid, checkpoint, type: "llm" }],
    });
    const options = listing.kind === "listing" ? listing.loaded[0]?.options : null;
    expect(options).toMatchObject({ ctx_size: 2048 });
    // Its own options are a touch.
    expect(await client.load("tiny-a", options ?? {})).toMatchObject({ ok: true });
    expect([lemond.loads("tiny-a"), lemond.touches("tiny-a"), lemond.child("tiny-a")?.pid]).toEqual([1, 1, pid]);
    expect(await client.unload("tiny-a")).toMatchObject({ ok: true });
    expect(await client.unload("tiny-a")).toMatchObject({ ok: false, status: 404 });
    expect([lemond.unloads("tiny-a"), lemond.unloadAlls()]).toEqual([2, 0]);
    expect(lemond.calls.find(({ route }) => route === "/v1/load")?.body).toEqual({
      ctx_size: 2048,
      model_name: "tiny-a",
    });
  });

  test("a load's own options cannot name another model", async () => {
    await using lemond = await startLemond({ version });
    const client = createLemonade({ url: lemond.url, apiKey: null, loadTimeoutMs: 5000 });
    await client.load("tiny-a", { model_name: "tiny-b" });
    expect([lemond.loads("tiny-a"), lemond.loads("tiny-b")]).toEqual([1, 0]);
  });

  test("every call has a connection of its own, closes it, and carries the key", async () => {
    await using lemond = await startLemond({ version, apiKey: "lemon-key" });
    const client = createLemonade({ url: lemond.url, apiKey: "lemon-key", loadTimeoutMs: 5000 });
    await client.load("tiny-a", {});
    await client.health(1);
    await client.models();
    await client.isLive();
    await client.unload("tiny-a");
    expect(lemond.calls.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    for (const { headers } of lemond.calls)
      expect(headers).toMatchObject({ connection: "close", authorization: "Bearer lemon-key" });
    expect(new Set(lemond.calls.map(({ connection }) => connection)).size).toBe(5);
  });

  test("a wrong key is a refusal, not silence for ever", async () => {
    await using lemond = await startLemond({ version, apiKey: "lemon-key" });
    const client = clientOf(lemond.url, "wrong");
    const health = await client.health(1);
    expect(health.kind === "denied" && health.cause).toMatch(/^health answered 401/);
    expect(await client.models()).toBeNull();
    expect(client.modelsFault()).toMatch(/^the model list answered 401: /);
    expect(await client.load("tiny-a", {})).toMatchObject({ ok: false, status: 401 });
    expect(await client.isLive()).toBe(true);
  });
});
