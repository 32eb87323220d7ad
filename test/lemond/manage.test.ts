// Downloads, deletions, aliases and pins at the simulated lemond, and what it changes in a prompt.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond } from "./index.ts";
import { childOf, health, loaded } from "./steps.ts";

const ask = (lemond: Lemond, method: string, path: string, body?: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${lemond.url}${path}`, {
    method,
    keepalive: false,
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });

describe("a download", () => {
  test("tells its progress as events, and in Ollama's words as lines", async () => {
    await using lemond = await startLemond({ pull: { steps: 2, stepMs: 1 } });
    const events = await (await ask(lemond, "POST", "/v1/pull", { model_name: "tiny-a", stream: true })).text();
    expect(events.match(/^event: .*$/gm)).toEqual(["event: progress", "event: progress", "event: complete"]);
    const lines = await (await ask(lemond, "POST", "/api/pull", { model: "tiny-a:latest" })).text();
    expect(
      lines
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { readonly status: string }).status),
    ).toEqual(["pulling manifest", "downloading tiny-a.gguf", "downloading tiny-a.gguf", "success"]);
    expect(await (await ask(lemond, "POST", "/v1/pull", { model: "tiny-a" })).json()).toEqual({
      model_name: "tiny-a",
      status: "success",
    });
  });

  test("of an unknown model is refused", async () => {
    await using lemond = await startLemond();
    const refused = await ask(lemond, "POST", "/v1/pull", { model_name: "nobody" });
    expect([refused.status, (await refused.json()) as object]).toEqual([
      400,
      { code: "unknown_model", error: "Model not found: nobody" },
    ]);
    expect((await ask(lemond, "POST", "/api/pull", { name: "nobody" })).status).toBe(404);
  });

  test("comes line by line, and ends when its client leaves", async () => {
    await using lemond = await startLemond({ pull: { steps: 10_000, stepMs: 10 } });
    const leaving = new AbortController();
    const response = await ask(lemond, "POST", "/api/pull", { name: "tiny-a" }, leaving.signal);
    const reader = response.body?.getReader();
    for (let nth = 0; nth < 3; nth += 1) expect((await reader?.read())?.done).toBe(false);
    leaving.abort();
    const [call] = lemond.calls;
    while (call?.status === undefined) await Bun.sleep(1);
    expect(call.isAborted).toBe(true);
  });
});

test("a deleted model is unloaded and known no more", async () => {
  await using lemond = await startLemond();
  await loaded(lemond, "tiny-a");
  const deleted = await ask(lemond, "POST", "/v1/delete", { model_name: "tiny-a" });
  expect(await deleted.json()).toEqual({ message: "Deleted model: tiny-a", status: "success" });
  expect(lemond.listed()).toEqual([]);
  expect((await lemond.load("tiny-a")).status).toBe(404);
  expect((await ask(lemond, "POST", "/v1/delete", { model_name: "tiny-a" })).status).toBe(422);
  const ollama = await ask(lemond, "DELETE", "/api/delete", { name: "tiny-b:latest" });
  expect([ollama.status, await ollama.text()]).toEqual([200, ""]);
  expect((await ask(lemond, "DELETE", "/api/delete", { name: "tiny-b" })).status).toBe(404);
});

test("aliases come and go, and a loaded model is pinned and let go", async () => {
  await using lemond = await startLemond({ aliases: { old: "tiny-b" } });
  expect((await ask(lemond, "POST", "/internal/aliases", { alias: "gpt", target: "tiny-a" })).status).toBe(200);
  expect(await (await ask(lemond, "GET", "/internal/aliases")).json()).toEqual({
    aliases: { gpt: "tiny-a", old: "tiny-b" },
  });
  await lemond.load("gpt");
  expect(lemond.listed()).toEqual(["tiny-a"]);
  expect((await ask(lemond, "DELETE", "/internal/aliases/gpt")).status).toBe(200);
  expect((await lemond.load("gpt")).status).toBe(404);
  for (const pinned of [true, false]) {
    const reply = await ask(lemond, "POST", "/internal/pin", { model_name: "tiny-a", pinned });
    expect(await reply.json()).toEqual({ model_name: "tiny-a", pinned, status: "success" });
    expect((await health(lemond))[0]).toMatchObject({ pinned });
  }
  expect((await ask(lemond, "POST", "/internal/pin", { model_name: "tiny-b", pinned: true })).status).toBe(400);
});

describe("before a prompt goes to its child, lemond", () => {
  const tools = [{ type: "function", function: { name: "f", parameters: { properties: { a: { maxLength: 2000 } } } } }];
  const messages = [
    { role: "user", content: "one" },
    { role: "assistant", content: "two" },
    { role: "user", content: "three" },
    { role: "assistant", content: "four" },
  ];
  const heard = async (lemond: Lemond): Promise<Readonly<Record<string, unknown>>> =>
    JSON.parse((await childOf(lemond, "tiny-a").receivedAny()).bodyText ?? "");

  test("takes bounds of 2000 and more out of tools, which the child refuses", async () => {
    await using lemond = await startLemond();
    const child = await loaded(lemond, "tiny-a");
    const body = { model: "tiny-a", messages, tools };
    expect((await ask(lemond, "POST", "/v1/chat/completions", body)).status).toBe(200);
    expect(JSON.stringify((await heard(lemond))["tools"])).not.toContain("maxLength");
    const direct = await fetch(`${child.url}/chat/completions`, { method: "POST", body: JSON.stringify(body) });
    expect([direct.status, await direct.text()]).toEqual([400, expect.stringContaining("failed to parse grammar")]);
  });

  test("says off to thinking in every way that models know, on chat/completions alone", async () => {
    for (const off of [{ enable_thinking: false }, { thinking: false }, { thinking: { type: "disabled" } }]) {
      await using lemond = await startLemond();
      await ask(lemond, "POST", "/v1/chat/completions", { model: "tiny-a", messages, ...off });
      const body = await heard(lemond);
      expect(body).toMatchObject({ reasoning_effort: "none", chat_template_kwargs: { enable_thinking: false } });
      expect(body["messages"]).toEqual(messages.with(2, { role: "user", content: "/no_think\nthree" }));
      expect(["enable_thinking", "thinking"].filter((name) => name in body)).toEqual([]);
    }
    await using lemond = await startLemond();
    await ask(lemond, "POST", "/v1/completions", { model: "tiny-a", prompt: "x", enable_thinking: false });
    expect(await heard(lemond)).toMatchObject({ enable_thinking: false });
  });

  test("leaves all else as it came, a stream byte for byte", async () => {
    await using lemond = await startLemond();
    const text = '{ "model":"tiny-a",  "messages":[], "stream":true, "other": 1.0 }';
    await (await fetch(`${lemond.url}/v1/chat/completions`, { method: "POST", body: text, keepalive: false })).text();
    expect((await childOf(lemond, "tiny-a").receivedAny()).bodyText).toBe(text);
  });
});
