// lemond's Ollama routes, as its source has them: lines of JSON, the lists, and what is left of an error there.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond } from "./index.ts";
import { childOf, loaded } from "./steps.ts";

const post = (lemond: Lemond, path: string, body: object): Promise<Response> =>
  fetch(`${lemond.url}${path}`, { method: "POST", body: JSON.stringify(body), keepalive: false });

type Line = Readonly<Record<string, unknown>> & {
  readonly message?: { readonly content: string };
  readonly done: boolean;
};

const parsed = (text: string): readonly Line[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

async function linesOf(response: Response): Promise<readonly Line[]> {
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  return parsed(await response.text());
}

const messages = [{ role: "user", content: "hello" }];

describe("a chat", () => {
  test("streams unless told otherwise, a line for each event, and says twice that it is done", async () => {
    await using lemond = await startLemond();
    const lines = await linesOf(
      await post(lemond, "/api/chat", { model: "tiny-a:latest", messages, options: { num_predict: 2 } }),
    );
    expect(lines.map(({ message }) => message?.content)).toEqual(["", "tiny-a token 1 ", "tiny-a token 2 ", "", ""]);
    expect(lines.map(({ done }) => done)).toEqual([false, false, false, true, true]);
    expect(lines.map((line) => line["done_reason"])).toEqual([undefined, undefined, undefined, "length", "stop"]);
    const plain = await post(lemond, "/api/chat", { model: "tiny-a", messages, stream: false });
    const reply = (await plain.json()) as Line;
    expect(reply).toMatchObject({
      model: "tiny-a",
      done: true,
      done_reason: "stop",
      eval_count: 4,
      prompt_eval_count: 9,
    });
    expect(reply.message?.content).toContain("token 4 ");
  });

  test("of no words that is kept for no time unloads, loaded or not", async () => {
    await using lemond = await startLemond();
    await loaded(lemond, "tiny-a");
    for (const [path, more] of [
      ["/api/chat", { messages: [] }],
      ["/api/generate", { prompt: "" }],
    ] as const) {
      const reply = (await (await post(lemond, path, { model: "tiny-a", keep_alive: 0, ...more })).json()) as Line;
      expect([reply.done, reply["done_reason"], lemond.listed()]).toEqual([true, "unload", []]);
    }
  });

  test("of an unknown model, and of one that cannot be loaded, is not found", async () => {
    await using lemond = await startLemond();
    lemond.failLoads("tiny-a", 2);
    for (const model of ["nobody", "tiny-a"]) {
      const reply = await post(lemond, "/api/chat", { model, messages });
      const error = `model '${model}' not found, try pulling it first`;
      expect([reply.status, await reply.json()]).toEqual([404, { error }]);
    }
  });

  test("whose child is lost has no word of it in a stream: a line that is none, and a regular end", async () => {
    await using lemond = await startLemond({ version: "10.6" });
    await (await loaded(lemond, "tiny-a")).kill();
    const lines = await linesOf(await post(lemond, "/api/chat", { model: "tiny-a", messages }));
    expect(lines.map(({ message, done }) => [message?.content, done])).toEqual([
      [undefined, false],
      ["", true],
    ]);
    const plain = await post(lemond, "/api/chat", { model: "tiny-a", messages, stream: false });
    expect([plain.status, await plain.json()]).toEqual([
      500,
      { error: "Network error: CURL error: Couldn't connect to server" },
    ]);
  });

  test("whose child is lost inside ends as a whole one on 10.6, with a line that is none before it on 11.7", async () => {
    for (const [version, nones] of [
      ["10.6", 0],
      ["11.7", 1],
    ] as const) {
      await using lemond = await startLemond({ version });
      await loaded(lemond, "tiny-a");
      const response = await post(lemond, "/api/chat", {
        model: "tiny-a",
        messages,
        sim: { tokens: 500, tokenMs: 10 },
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      const read = async (): Promise<boolean> => {
        const piece = await reader?.read();
        text += piece?.value ?? "";
        return piece?.done === false;
      };
      while (!text.includes("token 2 ")) await read();
      await childOf(lemond, "tiny-a").kill();
      while (await read());
      const lines = parsed(text);
      expect(lines.filter(({ message }) => message === undefined).length).toBe(nones);
      expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "stop" });
    }
  });
});

test("generate and both kinds of embeddings answer in Ollama's words", async () => {
  await using lemond = await startLemond();
  const lines = await linesOf(
    await post(lemond, "/api/generate", { model: "tiny-a", prompt: "x", options: { num_predict: 1 } }),
  );
  expect(lines.map((line) => line["response"])).toEqual(["tiny-a token 1 ", "", ""]);
  const plain = (await (
    await post(lemond, "/api/generate", { model: "tiny-a", prompt: "x", stream: false })
  ).json()) as Line;
  expect([plain["response"], plain.done]).toEqual([expect.stringContaining("token 4 "), true]);
  const many = (await (await post(lemond, "/api/embed", { model: "tiny-emb", input: ["a", "b"] })).json()) as Line;
  expect(many["embeddings"]).toHaveLength(2);
  const one = (await (await post(lemond, "/api/embeddings", { model: "tiny-emb", prompt: "a" })).json()) as Line;
  expect(one["embedding"]).toHaveLength(64);
});

interface Lists {
  readonly models?: readonly { readonly name: string }[];
  readonly version?: string;
}

test("the lists name every model, each as :latest, and what runs", async () => {
  await using lemond = await startLemond();
  await loaded(lemond, "tiny-a");
  const get = async (path: string): Promise<Lists> =>
    (await (await fetch(`${lemond.url}${path}`, { keepalive: false })).json()) as Lists;
  expect((await get("/api/tags")).models?.map(({ name }) => name)).toContain("tiny-b:latest");
  expect((await get("/api/ps")).models).toMatchObject([{ model: "tiny-a:latest", size_vram: 0 }]);
  expect(await get("/api/version")).toEqual({ version: "0.16.1" });
  expect(await (await post(lemond, "/api/show", { model: "tiny-a" })).json()).toMatchObject({
    capabilities: ["completion"],
  });
  expect((await post(lemond, "/api/show", { model: "nobody" })).status).toBe(404);
  expect((await post(lemond, "/api/copy", {})).status).toBe(501);
});
