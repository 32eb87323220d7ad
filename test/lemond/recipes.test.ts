// Models that are no llama-server's: children that refuse what was meant for lemond, the cloud, collections, aliases, pins.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond, type ModelSpec } from "./index.ts";
import { rawRequest, requestText, type RawReply } from "./raw-client.ts";
import { childOf, health, loaded } from "./steps.ts";

const models: readonly ModelSpec[] = [
  { id: "Gemma3-4b-it-FLM", recipe: "flm", checkpoint: "gemma3:4b" },
  { id: "Qwen3-8B-vLLM", recipe: "vllm", checkpoint: "Qwen/Qwen3-8B" },
  { id: "gpt-cloud", recipe: "cloud", checkpoint: "openai/gpt" },
  { id: "tiny-a" },
  { id: "tiny-b" },
  { id: "omni", recipe: "collection.omni", components: ["tiny-a", "Whisper-Tiny"] },
  { id: "router", recipe: "collection.router", components: ["tiny-b", "tiny-a"] },
  { id: "Whisper-Tiny", recipe: "whispercpp", type: "transcription" },
];

const chat = (port: number, model: string, more: object = {}): Promise<RawReply> =>
  rawRequest(port, requestText("POST", "/v1/chat/completions", [], JSON.stringify({ model, messages: [], ...more })));

const said = ({ body }: RawReply): unknown => JSON.parse(body).choices?.[0]?.message.content;

async function recipeOf(lemond: Lemond): Promise<readonly unknown[]> {
  return (await health(lemond)).map(({ recipe, pid, backend_url }) => [recipe, pid, backend_url]);
}

describe("a child of another recipe", () => {
  for (const [id, refusal] of [
    ["Gemma3-4b-it-FLM", "model not found"],
    ["Qwen3-8B-vLLM", "does not exist"],
  ] as const) {
    test(`${id} answers through lemond, and refuses lemond's name for it`, async () => {
      await using lemond = await startLemond({ models });
      for (const stream of [false, true]) {
        const reply = await chat(lemond.port, id, { stream });
        expect([reply.status, reply.body]).toEqual([200, expect.stringContaining(`${id} token 1 `)]);
      }
      const child = childOf(lemond, id);
      const direct = await chat(child.port, id);
      expect([direct.status, direct.body]).toEqual([404, expect.stringContaining(refusal)]);
      expect((await chat(child.port, child.checkpoint)).status).toBe(200);
      expect((await health(lemond))[0]).toMatchObject({ recipe: models.find((model) => model.id === id)?.recipe });
    });
  }

  test("has routes of its own: whisper's takes no chat, one for the NPU has no /health", async () => {
    await using lemond = await startLemond({ models });
    const whisper = await loaded(lemond, "Whisper-Tiny");
    expect((await chat(whisper.port, "Whisper-Tiny")).status).toBe(404);
    const flm = await loaded(lemond, "Gemma3-4b-it-FLM");
    expect((await rawRequest(flm.port, requestText("GET", "/health", [], ""))).status).toBe(404);
  });
});

describe("the cloud", () => {
  test("is listed at port 0 with pid 0, takes no room, and answers through lemond", async () => {
    await using lemond = await startLemond({ models });
    await loaded(lemond, "tiny-a");
    expect(said(await chat(lemond.port, "gpt-cloud"))).toStartWith("gpt-cloud token 1 ");
    expect(await recipeOf(lemond)).toEqual([
      ["llamacpp", childOf(lemond, "tiny-a").pid, childOf(lemond, "tiny-a").url],
      ["cloud", 0, "http://127.0.0.1:0/v1"],
    ]);
    const stream = await chat(lemond.port, "gpt-cloud", { stream: true });
    expect(stream.body).toEndWith("data: [DONE]\n\n");
    await lemond.kill();
  });
});

describe("names", () => {
  test("of an alias, of `NAME:latest`, and with lemond's prefixes lead to one model, that health shows by its own", async () => {
    await using lemond = await startLemond({ models, aliases: { "gpt-4o": "tiny-a" } });
    for (const name of ["gpt-4o", "tiny-a:latest", "gpt-4o:latest", "user.tiny-a", "extra.tiny-a"])
      expect([name, said(await chat(lemond.port, name))]).toEqual([name, expect.stringContaining("tiny-a token 1 ")]);
    expect([lemond.listed(), lemond.loads()]).toEqual([["tiny-a"], 1]);
    // A load knows no tags.
    expect((await lemond.load("tiny-a:latest")).status).toBe(404);
    expect((await lemond.load("gpt-4o")).status).toBe(200);
    expect((await lemond.unload("gpt-4o")).status).toBe(200);
    expect(lemond.listed()).toEqual([]);
  });

  test("of a model are before those that a prefix makes alike", async () => {
    await using lemond = await startLemond({ models: [{ id: "X" }, { id: "user.X" }] });
    expect(said(await chat(lemond.port, "user.X"))).toStartWith("user.X token");
    expect(said(await chat(lemond.port, "X"))).toStartWith("X token");
  });

  test("of a collection never show: an omni loads what it consists of, a router what it asks", async () => {
    await using lemond = await startLemond({ models });
    const load = await lemond.load("omni");
    expect(await load.json()).toEqual({ model_name: "omni", recipe: "collection.omni", status: "success" });
    expect([...lemond.listed()].sort()).toEqual(["Whisper-Tiny", "tiny-a"]);
    expect(said(await chat(lemond.port, "omni"))).toStartWith("tiny-a token");
    expect((await lemond.load("router")).status).toBe(200);
    expect(lemond.listed()).not.toContain("tiny-b");
    expect(said(await chat(lemond.port, "router"))).toStartWith("tiny-b token");
  });
});

describe("a pinned model", () => {
  test("gives no room: a load is 409 slots_pinned_error, and so is a chat", async () => {
    await using lemond = await startLemond({ models });
    await lemond.load("tiny-a", { pinned: true });
    const message = "All loaded models of type standard/llm are pinned.";
    const error = { code: "slots_pinned_error", message, param: "model", requested_model: "tiny-b" };
    for (const reply of [
      await lemond.load("tiny-b"),
      await fetch(`${lemond.url}/v1/chat/completions`, asking("tiny-b")),
    ])
      expect([reply.status, await reply.json()]).toEqual([409, { error: { ...error, type: "slots_pinned_error" } }]);
    expect((await health(lemond))[0]).toMatchObject({ model_name: "tiny-a", pinned: true });
    expect([lemond.listed(), lemond.child("tiny-b")]).toEqual([["tiny-a"], undefined]);
  });

  test("stays pinned when it is touched with the options that health shows, and gives way when it is let go", async () => {
    await using lemond = await startLemond({ models });
    await lemond.load("tiny-a", { pinned: true });
    const [listed] = await health(lemond);
    expect(listed?.recipe_options).toMatchObject({ pinned: true });
    await lemond.load("tiny-a", listed?.recipe_options);
    expect([lemond.touches(), lemond.loads()]).toEqual([1, 1]);
    await lemond.load("tiny-a", { pinned: false });
    expect((await lemond.load("tiny-b")).status).toBe(200);
    expect(lemond.listed()).toEqual(["tiny-b"]);
  });
});

const asking = (model: string) => ({ method: "POST", body: JSON.stringify({ model, messages: [] }), keepalive: false });
