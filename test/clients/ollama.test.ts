// The `ollama` package against the built executable: its ordinary work, across an eviction, a load and a wrong key.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Ollama } from "ollama";
import { acrossEviction, KEY, said, startService, VERSIONS, WRONG_KEY, type Service } from "./service.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const connect = ({ url }: Service, key = KEY): Ollama =>
  new Ollama({ host: url, headers: { authorization: `Bearer ${key}` } });
const messages = [{ role: "user", content: "hello" }];
const options = { num_predict: 4 };

/** Every way in which the package asks for text; each gives what the model said. */
const ways: Readonly<Record<string, (ollama: Ollama, model?: string) => Promise<string>>> = {
  chat: async (ollama, model = "primary") => (await ollama.chat({ model, messages, options })).message.content,
  "a chat stream": async (ollama, model = "primary") => {
    let text = "";
    let isDone = false;
    for await (const { message, done } of await ollama.chat({ model, messages, options, stream: true })) {
      text += message.content;
      isDone = done;
    }
    expect(isDone).toBe(true);
    return text;
  },
  generate: async (ollama, model = "primary") =>
    (await ollama.generate({ model, prompt: "hello", options })).response ?? "",
  "a generate stream": async (ollama, model = "primary") => {
    let text = "";
    for await (const part of await ollama.generate({ model, prompt: "hello", options, stream: true }))
      text += part.response;
    return text;
  },
};

test("ollama does its ordinary work, and knows slots by their names with its tag", async () => {
  await using service = await startService();
  const ollama = connect(service);
  const { models } = await ollama.list();
  const names = models.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["primary:latest", "embed:latest", "tiny-a:latest"]));
  expect(Object.keys((await ollama.show({ model: "primary" })).details)).toContain("family");
  expect((await ollama.ps()).models.length).toBeGreaterThan(0);
  for (const [name, way] of Object.entries(ways))
    for (const model of ["primary", "primary:latest", "tiny-a"])
      expect({ name, model, text: await way(ollama, model) }).toEqual({ name, model, text: said(4) });
  const { embeddings } = await ollama.embed({ model: "embed", input: "one" });
  expect(embeddings.map(({ length }) => length)).toEqual([64]);
  expect([service.lemond.loads(), service.lemond.unloads()]).toEqual([2, 0]); // Those of the beginning.
});

describe.each(VERSIONS)("lemond %s", (version) => {
  test("ollama does not notice an eviction, whichever way it asks", async () => {
    await using service = await startService({ lemond: { version } });
    const ollama = connect(service);
    for (const [name, way] of Object.entries(ways)) {
      const text = await acrossEviction(service, () => way(ollama));
      expect({ name, text }).toEqual({ name, text: said(4) });
    }
    expect((await ollama.list()).models.length).toBeGreaterThan(2);
  });
});

test("ollama's model is loaded for it, and unloaded in its own way", async () => {
  await using service = await startService({ loaded: [], lemond: { loadMs: 300 } });
  const ollama = connect(service);
  expect(await ways["a chat stream"]?.(ollama)).toBe(said(4));
  await ollama.generate({ model: "primary", prompt: "", keep_alive: 0 });
  expect(await service.slot()).toMatchObject({ state: "offline", pid: null });
  expect(await ways["chat"]?.(ollama)).toBe(said(4));
  expect(service.lemond.loads("tiny-a")).toBe(2);
});

test("ollama reads our errors as its own: a wrong key, a model that is not there", async () => {
  await using service = await startService();
  for (const [key, model, status_code, words] of [
    [WRONG_KEY, "primary", 401, "key"],
    [KEY, "nothing", 404, "nothing"],
  ] as const)
    for (const way of Object.values(ways)) {
      const error: unknown = await way(connect(service, key), model).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "ResponseError", status_code });
      expect(String(error)).toContain(words);
    }
  expect(service.child().prompts()).toBe(0);
});
