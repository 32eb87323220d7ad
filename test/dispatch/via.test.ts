// Routes that only lemond can answer, as requests of a slot: the model's name in JSON and in forms, binary replies, repair
// and retry; and requests for a child that lemond would change, which go through it too.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { errorOf } from "../envelope.ts";
import type { LemondOptions } from "../lemond/index.ts";
import { startRemote } from "../remote.ts";
import { startStack, type StackOptions } from "../stack.ts";

const models = [
  { id: "whisper-1", type: "transcription", recipe: "whispercpp" },
  { id: "kokoro-1", type: "tts", recipe: "kokoro" },
  { id: "sd-1", type: "image", recipe: "sd-cpp" },
  { id: "tiny-a" },
] as const;
const lemond: LemondOptions = { models };
const slots = [
  { name: "ears", model: "whisper-1", aliases: ["whisper"] },
  { name: "voice", model: "kokoro-1", aliases: ["tts-1"] },
  { name: "brush", model: "sd-1" },
  { name: "primary", model: "tiny-a", isDefault: true },
];
const options: StackOptions = { lemond, slots, loaded: [], lemonade: { pollMs: 60_000 } };

const form = (model: string | null, isLast = false): FormData => {
  const data = new FormData();
  if (model !== null && !isLast) data.set("model", model);
  data.set("file", new File([new Uint8Array(1000).fill(7)], "a.wav", { type: "audio/wav" }));
  if (model !== null && isLast) data.set("model", model);
  return data;
};

describe("a form", () => {
  test.each([
    ["before its file", "whisper", false],
    ["behind its file", "ears", true],
    ["by lemond's name", "whisper-1", false],
  ])("names its model %s", async (_, model, isLast) => {
    await using stack = await startStack(options);
    const response = await fetch(`${stack.url}/v1/audio/transcriptions`, { method: "POST", body: form(model, isLast) });
    expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, "ears"]);
    expect(await response.text()).toContain("text");
    expect([stack.lemond.loads("whisper-1"), stack.lemond.count("/v1/audio/transcriptions")]).toEqual([1, 1]);
  });

  test("that is broken, or is none, is refused and sent nowhere", async () => {
    await using stack = await startStack(options);
    const type = { "content-type": "multipart/form-data; boundary=abc" };
    for (const [body, headers] of [
      ["--abc\r\n", type],
      ["", type],
      ["{}", { "content-type": "multipart/form-data" }],
      ["a=b", { "content-type": "application/x-www-form-urlencoded" }],
    ] as const) {
      const response = await stack.post("/v1/audio/transcriptions", body, { headers });
      expect([response.status, (await errorOf(response)).code]).toEqual([400, "request.invalid"]);
    }
    expect(stack.lemond.count("/v1/audio/transcriptions")).toBe(0);
  });

  test("for a route of a child is no body for it", async () => {
    await using stack = await startStack(options);
    const response = await fetch(`${stack.url}/v1/chat/completions`, { method: "POST", body: form("primary") });
    expect(response.status).toBe(400);
  });
});

describe("a request through lemond", () => {
  test("has its model's own name put in, and the rest of its bytes as they were", async () => {
    await using stack = await startStack(options);
    const body = '{ "input":"ü \\u0041", "model" :"tts-1",  "n":1e2}';
    expect((await stack.post("/api/v0/audio/speech?x=1&api_key=canary", body)).status).toBe(200);
    const sent = body.replace('"tts-1"', '"kokoro-1"');
    const [call] = stack.lemond.calls.filter(({ route }) => route === "/v1/audio/speech");
    expect([call?.path, call?.bodySha256]).toEqual([
      "/v1/audio/speech?x=1",
      new Bun.CryptoHasher("sha256").update(sent).digest("hex"),
    ]);
  });

  test.each(["10.6", "11.7"] as const)("comes back whole after its child has died (lemond %s)", async (version) => {
    await using stack = await startStack({ ...options, lemond: { ...lemond, version }, loaded: ["kokoro-1"] });
    await stack.child("kokoro-1").kill();
    const response = await stack.post("/v1/audio/speech", { model: "voice", input: "hello" });
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "audio/mpeg"]);
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(0);
    expect(stack.lemond.loads("kokoro-1")).toBe(2);
  });

  test("passes bytes as they come, and breaks off where they break off", async () => {
    await using stack = await startStack({ ...options, loaded: ["kokoro-1"] });
    const body = { model: "voice", input: "hello", stream_format: "audio", sim: { tokens: 50, tokenMs: 20 } };
    const response = await stack.post("/v1/audio/speech", body);
    const reader = response.body?.getReader();
    expect((await reader?.read())?.value?.length).toBeGreaterThan(0);
    // Of a child's death lemond makes a regular end; its own is none.
    await stack.lemond.kill();
    let how = "whole";
    for (;;) {
      const step = await reader?.read().catch(() => null);
      if (step === null) how = "broken off";
      if (!step || step.done) break;
    }
    expect(how).toBe("broken off");
  });

  test("is held at the gate of its slot as any other", async () => {
    await using stack = await startStack(options);
    const loads = stack.lemond.holdLoads();
    const load = fetch(`${stack.url}/api/slots/brush/load`, { method: "POST" });
    await stack.lemond.received("/v1/load");
    const response = await stack.post("/v1/images/generations", { model: "brush", prompt: "x" });
    expect([response.status, (await errorOf(response)).code]).toEqual([503, "slot.loading"]);
    loads.release();
    await load;
    expect((await stack.post("/v1/images/generations", { model: "brush", prompt: "x" })).status).toBe(200);
  });

  test("for a remote goes to the remote, form and all", async () => {
    await using remote = await startRemote();
    const upstreams = [{ name: "far", url: `${remote.url}/v1`, apiKey: "far-key", models: ["far/*"] }];
    await using stack = await startStack({ ...options, upstreams });
    const response = await fetch(`${stack.url}/v1/audio/transcriptions?x=1`, { method: "POST", body: form("far/w") });
    expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, "far"]);
    const [request] = remote.requests;
    expect([request?.path, request?.headers["authorization"]]).toEqual(["/v1/audio/transcriptions", "Bearer far-key"]);
    expect(request?.headers["content-type"]).toStartWith("multipart/form-data; boundary=");
    expect(request?.body.includes("far/w")).toBe(true);
  });
});

describe("a request of a child's route goes through lemond", () => {
  const tools = (bound: object) => [
    {
      type: "function",
      function: { name: "f", parameters: { type: "object", properties: { a: { type: "string", ...bound } } } },
    },
  ];
  test.each([
    ["chat/completions", { tools: tools({ maxLength: 2000 }) }, true],
    ["chat/completions", { tools: tools({ minLength: 99_999 }) }, true],
    ["responses", { tools: tools({ maxLength: 4000 }) }, true],
    ["chat/completions", { thinking: { type: "disabled" } }, true],
    ["chat/completions", { enable_thinking: false }, true],
    ["chat/completions", { tools: tools({ maxLength: 1999 }) }, false],
    ["chat/completions", { tools: tools({ pattern: "maxLength 2000" }) }, false],
    ["chat/completions", { metadata: { maxLength: 4000 } }, false],
    ["completions", { thinking: true }, false],
    ["responses", { thinking: true }, false],
    ["messages", { thinking: { type: "enabled", budget_tokens: 2000 } }, false],
  ] as const)("where lemond would change it: %s %j: %p", async (route, fields, isThrough) => {
    await using stack = await startStack({ ...options, loaded: ["tiny-a"] });
    const body = { model: "primary", messages: [], prompt: "x", input: "x", max_tokens: 1, ...fields };
    expect((await ended(stack.post(`/v1/${route}`, body))).status).toBe(200);
    expect(stack.lemond.count(`/v1/${route}`)).toBe(isThrough ? 1 : 0);
  });

  test("under lemond's other name for reranking goes to the child under the child's", async () => {
    await using stack = await startStack({ loaded: ["tiny-rr"] });
    const response = await stack.post("/v1/reranker", { model: "tiny-rr", query: "x", documents: ["a", "b"] });
    expect(response.status).toBe(200);
    expect(stack.child("tiny-rr").requests.map(({ path }) => path)).toContain("/v1/rerank");
    expect(stack.lemond.count("/v1/reranker")).toBe(0);
  });
});
