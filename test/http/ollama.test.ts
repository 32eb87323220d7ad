// Ollama's routes: chat and generate as requests of a slot, the lists with slots in them, and errors that its clients read.
import { describe, expect, test } from "bun:test";
import { startStack } from "../stack.ts";

const slots = [{ name: "primary", model: "tiny-a", aliases: ["gpt-4o", "gpt-*"], isDefault: true }];
const messages = [{ role: "user", content: "hello" }];

interface Line {
  readonly message?: { readonly content: string };
  readonly response?: string;
  readonly done?: boolean;
  readonly error?: string;
}
const lines = (text: string): Line[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe.each(["10.6", "11.7"] as const)("through lemond %s", (version) => {
  test("a chat streams lines unless it is told not to, under a slot's name with Ollama's tag", async () => {
    await using stack = await startStack({ slots, lemond: { version } });
    for (const model of ["primary", "primary:latest", "gpt-4o", "gpt-5:latest", "tiny-a"]) {
      const response = await stack.post("/api/chat", { model, messages });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
      expect(response.headers.get("x-hal0-upstream")).toBe("primary");
      const said = lines(await response.text());
      expect(said.map(({ message }) => message?.content ?? "").join("")).toContain("tiny-a token 1 ");
      expect(said.at(-1)?.done).toBe(true);
    }
    const plain = await stack.post("/api/chat", { model: "primary", messages, stream: false });
    expect(await plain.json()).toMatchObject({ done: true, message: { role: "assistant" } });
    const generated = await stack.post("/api/generate", { model: "primary", prompt: "x" });
    expect(
      lines(await generated.text())
        .map(({ response }) => response ?? "")
        .join(""),
    ).toContain("tiny-a");
    expect(stack.lemond.loads()).toBe(1);
  });

  test.each([false, true])("a chat is answered although its child has died (stream: %p)", async (stream) => {
    await using stack = await startStack({ slots, lemond: { version }, lemonade: { pollMs: 60_000 } });
    await stack.child().kill();
    const response = await stack.post("/api/chat", { model: "primary", messages, stream });
    const said = lines(await response.text());
    expect(said.map(({ message }) => message?.content).join("")).toContain("tiny-a token 1 ");
    expect([response.status, said.at(-1)?.done, stack.lemond.loads()]).toEqual([200, true, 2]);
  });
});

test("embeddings are those of an implicit slot", async () => {
  await using stack = await startStack({ slots, loaded: [] });
  const response = await stack.post("/api/embed", { model: "tiny-emb:latest", input: "x" });
  expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, "tiny-emb"]);
  expect(Object.keys((await response.json()) as object)).toContain("embeddings");
});

describe("the lists", () => {
  test("name slots and their aliases beside the models, and say of them what lemond says of their model", async () => {
    await using stack = await startStack({ slots });
    const { models } = (await (await fetch(`${stack.url}/api/tags`)).json()) as {
      models: { name: string; size: number }[];
    };
    const names = models.map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(["primary:latest", "gpt-4o:latest"]);
    expect(names).toContain("tiny-a:latest");
    expect(new Set(names).size).toBe(names.length);
    const of = (name: string) => models.find((model) => model.name === name);
    expect(of("primary:latest")).toEqual({
      ...of("tiny-a:latest"),
      name: "primary:latest",
      model: "primary:latest",
    } as never);
  });

  test("are lemond's own where it refuses, and show knows what tags named", async () => {
    await using stack = await startStack({ slots });
    const ask = async (body: object) => {
      const response = await stack.post("/api/show", body);
      return [response.status, await response.text()];
    };
    const own = await ask({ model: "tiny-a" });
    expect(own[0]).toBe(200);
    for (const body of [{ model: "primary" }, { name: "gpt-4o:latest" }, { name: "primary", model: "tiny-b" }])
      expect(await ask(body)).toEqual(own);
    expect(await ask({ model: "nothing" })).toEqual([404, `{"error":"model 'nothing' not found"}`]);
    for (const path of ["/api/version", "/api/ps"]) expect((await fetch(stack.url + path)).status).toBe(200);
    await stack.lemond.kill();
    const down = await fetch(`${stack.url}/api/tags`);
    expect([down.status, Object.keys((await down.json()) as object)]).toEqual([502, ["error"]]);
  });
});

describe("an unload in Ollama's way", () => {
  const unload = { model: "primary", keep_alive: 0 };
  test.each([
    ["/api/chat", unload],
    ["/api/chat", { ...unload, messages: [] }],
    ["/api/generate", unload],
    ["/api/generate", { ...unload, prompt: "" }],
  ])("is an operator's action: %s %j", async (path, body) => {
    await using stack = await startStack({ slots, lemonade: { pollMs: 60_000 } });
    const response = await stack.post(path, body);
    expect([response.status, await response.json()]).toMatchObject([200, { model: "tiny-a", done_reason: "unload" }]);
    expect(await stack.slot()).toMatchObject({ state: "offline", pid: null });
  });

  test("is for who may control", async () => {
    await using stack = await startStack({ slots, server: { apiKeys: ["user-key"], adminKeys: ["admin-key"] } });
    const ask = (key: string) => stack.post("/api/generate", unload, { headers: { "x-api-key": key } });
    const refused = await ask("user-key");
    expect([refused.status, await refused.json()]).toEqual([
      403,
      { error: "This key may not do this; one of server.admin_keys may." },
    ]);
    expect(stack.child().isAlive).toBe(true);
    expect((await ask("admin-key")).status).toBe(200);
  });

  test.each([
    { messages, keep_alive: 0 },
    { messages, keep_alive: "5m" },
    { messages: [], keep_alive: "5m" },
    { messages: [], keep_alive: "0" },
  ])("is none with something to say, or something to be kept: %j", async (body) => {
    await using stack = await startStack({ slots });
    await (await stack.post("/api/chat", { model: "primary", ...body, stream: false })).text();
    expect(await stack.slot()).toMatchObject({ state: "ready" });
  });
});

test("errors are text", async () => {
  await using stack = await startStack({
    slots,
    upstreams: [{ name: "far", url: "http://127.0.0.1:9", apiKey: null, models: ["far/*"] }],
  });
  for (const [body, status, text] of [
    ["{", 400, "The request body is not valid JSON."],
    ['{"model":5}', 400, "model: expected a string."],
    ['{"model":"nothing"}', 404, "Nothing serves model nothing"],
    ['{"model":"far/m"}', 404, "far answers for far/m, and does not speak Ollama's API; ask for it under /v1."],
  ] as const) {
    const response = await stack.post("/api/chat", body);
    const { error } = (await response.json()) as Line;
    expect([response.status, error]).toEqual([status, expect.stringContaining(text)]);
  }
});
