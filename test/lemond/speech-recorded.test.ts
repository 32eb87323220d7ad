// What a real llama-server was asked about templates, tokens and continuation is asked of the simulated one (llama-server-11434).
import { expect, test } from "bun:test";
import { startLemond, type Child, type ChatSettings, type Lemond } from "./index.ts";
import { ask, readStream } from "./speech-steps.ts";

interface Recorded {
  readonly path: string;
  readonly body: object;
  readonly status: number;
  readonly headers: readonly string[];
  readonly reply: string;
}

async function recorded(file: string): Promise<readonly Recorded[]> {
  const bytes = await Bun.file(`${import.meta.dir}/../wire/llama-server-11434/${file}.txt`).text();
  const text = bytes.replaceAll("\r\n", "\n");
  return [...text.matchAll(/^=== POST (\S+)\n(.*)\n---\n([\s\S]*?)\n--- end/gm)].map(
    ([, path = "", body = "", response = ""]) => {
      const [head = "", ...rest] = response.split("\n\n");
      const [first = "", ...headers] = head.split("\n");
      return { path, body: JSON.parse(body), status: Number(first.split(" ")[1]), headers, reply: rest.join("\n\n") };
    },
  );
}

async function smollm(chat: ChatSettings = {}): Promise<{ lemond: Lemond; child: Child }> {
  const lemond = await startLemond({ models: [{ id: "smollm", chat: { template: "smollm2", ...chat } }] });
  await lemond.load("smollm");
  const child = lemond.child("smollm");
  if (child === undefined) throw new Error("no child");
  return { lemond, child };
}

const namesOf = (headers: Iterable<string>): string[] => [...headers].map((line) => line.split(":")[0] ?? "").sort();

test("templates are applied, and refused, to the letter", async () => {
  const { lemond, child } = await smollm();
  await using _ = lemond;
  const calls = await recorded("80-apply-template");
  expect(calls.length).toBe(9);
  for (const { path, body, status, reply, headers } of calls) {
    const response = await ask(child, path, body);
    expect([response.status, await response.text()]).toEqual([status, reply]);
    expect(headers.includes("Connection: close")).toBe(response.headers.get("connection") === "close");
  }
});

test("text is cut into the recorded pieces", async () => {
  const { lemond, child } = await smollm();
  await using _ = lemond;
  for (const { path, body, reply } of await recorded("85-tokenize")) {
    const { tokens } = (await (await ask(child, path, body)).json()) as { tokens: readonly { piece: string }[] };
    const pieces = (JSON.parse(reply) as { tokens: readonly { piece: string }[] }).tokens.map(({ piece }) => piece);
    expect(tokens.map(({ piece }) => piece)).toEqual(pieces);
    const bare = (await (await ask(child, path, { ...body, with_pieces: false })).json()) as {
      tokens: readonly unknown[];
    };
    expect(bare.tokens.map((id) => typeof id)).toEqual(pieces.map(() => "number"));
  }
  expect((await ask(child, "/v1/tokenize", { content: "a" })).status).toBe(404);
});

test("a stream, and the same from its middle, come in the recorded events", async () => {
  const [whole] = await recorded("81-chat-whole");
  const [continued] = await recorded("82-chat-continued");
  if (whole === undefined || continued === undefined) throw new Error("no recording");
  const answer = readStream(whole.reply).content.join("");
  const { lemond, child } = await smollm({ text: `${answer} and so on` });
  await using _ = lemond;
  for (const { path, body, reply, headers } of [whole, continued]) {
    const response = await ask(child, path, body);
    expect(namesOf(response.headers.keys())).toEqual(namesOf(headers.map((line) => line.toLowerCase())));
    const [here, there] = [readStream(await response.text()), readStream(reply)];
    expect({ ...here, usage: here.usage?.completion_tokens }).toEqual({
      ...there,
      usage: there.usage?.completion_tokens,
    });
  }
});

test("completions go on from prompt and text, and a plain reply has the recorded shape", async () => {
  const [completion] = await recorded("83-completions");
  const [plain] = await recorded("84-chat-plain");
  if (completion === undefined || plain === undefined) throw new Error("no recording");
  const { lemond, child } = await smollm({ text: readStream(completion.reply).content.join("") + " and so on" });
  await using _ = lemond;
  const here = readStream(await (await ask(child, completion.path, completion.body)).text());
  const there = readStream(completion.reply);
  expect({ ...here, usage: undefined }).toEqual({ ...there, usage: undefined });
  expect(here.usage?.completion_tokens).toBe(there.usage?.completion_tokens ?? 0);
  expect(here.usage?.prompt_tokens).toBe(there.usage?.prompt_tokens ?? 0);
  const after = { ...completion.body, prompt: `The sky is${here.content.slice(0, 3).join("")}`, max_tokens: 5 };
  expect(readStream(await (await ask(child, completion.path, after)).text()).content).toEqual(here.content.slice(3));
  const keys = (text: string): readonly string[] => Object.keys(JSON.parse(text));
  expect(keys(await (await ask(child, plain.path, plain.body)).text())).toEqual(keys(plain.reply));
});
