// The splice: the events of a new stream as the rest of a cut one. Recorded streams of a real llama-server and tables.
import { describe, expect, test } from "bun:test";
import { splicedFrom } from "../../src/dispatch/spliced.ts";
import { lastEvents, type Seam, splice } from "../../src/dispatch/splice.ts";
import { createRecording, record, recordedIn } from "../../src/dispatch/recording.ts";
import { pieces, relayed, sourceOf } from "../relayed.ts";

const recorded = {
  events: 2,
  end: "open",
  id: "chatcmpl-1",
  created: 1,
  model: "m",
  reasoning: "",
  content: "1. Red:",
} as const;
const seam: Seam = { kind: "chat", recorded, sentTokens: 4, promptTokens: null };
const old = { created: 1, id: "chatcmpl-1", model: "m" };
const fresh = { created: 9, id: "chatcmpl-9", model: "/models/m.gguf", object: "chat.completion.chunk" };
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}): string =>
  event({ choices: [{ finish_reason, index: 0, delta }], ...fresh, ...more });
/** The same with the ids of the first stream. */
const asOld = (text: string): string =>
  text.replaceAll('"chatcmpl-9"', '"chatcmpl-1"').replaceAll('"created":9', '"created":1').replaceAll(fresh.model, "m");

describe("an event of the new stream", () => {
  test.each<[string, string]>([
    ["with text", chunk({ content: " The" })],
    ["with a thought", chunk({ reasoning_content: " Hm" })],
    ["with blank lines in its text", chunk({ content: "\n\n" })],
    ["with a character of four bytes", chunk({ content: "🍋" })],
    ["with a tool call", chunk({ tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "" } }] })],
    ["that ends the answer", chunk({}, "stop")],
    ["with timings", chunk({}, "stop", { timings: { predicted_n: 36 } })],
  ])("%s has the ids of the first", (_, text) => {
    expect(splice(text, seam)).toBe(asOld(text));
    expect(splice(text, seam)).toContain(JSON.stringify(old).slice(1, 12));
  });

  test.each<[string, string]>([
    ["that has a role alone", chunk({ role: "assistant", content: null })],
    ["that has a role and no text", chunk({ role: "assistant", content: "" })],
    ["of progress", chunk({ role: "assistant", content: null }, null, { prompt_progress: { total: 3 } })],
  ])("%s is left out", (_, text) => expect(splice(text, seam)).toBe(""));

  test("whose role comes with text loses the role", () =>
    expect(splice(chunk({ role: "assistant", content: "The" }), seam)).toBe(asOld(chunk({ content: "The" }))));

  test.each<[string, string]>([
    ["a comment", ":\n\n"],
    ["the end", "data: [DONE]\n\n"],
    ["an error", event({ error: { message: "no" } })],
    ["what is no JSON", "data: hello\n\n"],
  ])("that is %s passes as it is", (_, text) => expect(splice(text, seam)).toBe(text));

  test("keeps its place among others", () =>
    expect(splice(`${chunk({ role: "assistant", content: null })}:\n\n${chunk({ content: "a" })}`, seam)).toBe(
      `:\n\n${asOld(chunk({ content: "a" }))}`,
    ));
});

describe("usage", () => {
  const usage = (prompt: number, completion: number, cached?: number) => ({
    completion_tokens: completion,
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
  });
  const whole = (given: object): unknown => {
    const text = splice(event({ choices: [], ...fresh, usage: given }), seam);
    return JSON.parse(text.slice("data: ".length)).usage;
  };

  test("counts the text so far as answer, not as prompt", () =>
    expect(whole(usage(42, 36, 20))).toEqual(usage(38, 40, 20)));
  test("has no more cached tokens than prompt", () => expect(whole(usage(42, 36, 41))).toEqual(usage(38, 40, 38)));
  test("without details has none", () => expect(whole(usage(42, 36))).toEqual(usage(38, 40)));
  test("that says something else passes", () => expect(whole({ tokens: 1 })).toEqual({ tokens: 1 }));
  test("of a completion stands in its last event", () => {
    const last = event({ choices: [{ text: "", index: 0, finish_reason: "length" }], ...fresh, usage: usage(4, 7) });
    const spliced = splice(last, { ...seam, kind: "completion", sentTokens: 1 });
    expect(JSON.parse(spliced.slice(5))).toMatchObject({ ...old, usage: usage(3, 8) });
  });
  test("has the prompt as it was counted, where one token lies across the seam", () => {
    const text = splice(event({ choices: [], ...fresh, usage: usage(41, 36, 40) }), { ...seam, promptTokens: 38 });
    expect(JSON.parse(text.slice(5)).usage).toEqual(usage(38, 40, 38));
  });
});

describe("a stream whose limit was used up when it was cut", () => {
  test("ends with the reason, the usage where it is wanted, and [DONE]", () => {
    const texts = [null, 38].map((promptTokens) => lastEvents({ ...seam, promptTokens }).split("\n\n"));
    const last = { choices: [{ finish_reason: "length", index: 0, delta: {} }], ...old, object: fresh.object };
    const usage = { completion_tokens: 4, prompt_tokens: 38, total_tokens: 42 };
    const [plain, counted] = texts.map((events) => events.slice(0, -2).map((event) => JSON.parse(event.slice(5))));
    expect(plain).toEqual([last]);
    expect(counted).toEqual([last, { ...last, choices: [], usage }]);
    expect(texts.map((events) => events.at(-2))).toEqual(["data: [DONE]", "data: [DONE]"]);
  });

  test("and whose end had begun gets what is missing of it", () => {
    const done = "data: [DONE]\n\n";
    const of = (end: "finished" | "counted" | "done", promptTokens: number | null): string =>
      lastEvents({ ...seam, recorded: { ...recorded, end }, promptTokens });
    expect([of("finished", null), of("counted", null), of("done", null)]).toEqual([done, done, ""]);
    expect(of("finished", 38)).toMatch(/^data: \{"choices":\[\],.*"total_tokens":42\}\}\n\ndata: \[DONE\]\n\n$/);
  });

  test("of completions has the usage in its last event", () => {
    const [event = "", done] = lastEvents({ ...seam, kind: "completion", promptTokens: 3 }).split("\n\n");
    expect(JSON.parse(event.slice(5))).toEqual({
      choices: [{ finish_reason: "length", index: 0, text: "", logprobs: null }],
      ...old,
      object: "text_completion",
      usage: { completion_tokens: 4, prompt_tokens: 3, total_tokens: 7 },
    });
    expect(done).toBe("data: [DONE]");
  });
});

/** The body of a recorded stream. */
async function recordedBody(file: string): Promise<string> {
  const text = await Bun.file(`${import.meta.dir}/../wire/llama-server-11434/${file}`).text();
  return text.slice(text.indexOf("data: {"), text.indexOf("\n\n\n--- end"));
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly role?: string; readonly content?: string | null } }[];
  readonly usage?: unknown;
}

test("a recorded stream and its recorded continuation are one, whatever the pieces they come in", async () => {
  const whole = `${await recordedBody("81-chat-whole.txt")}\n\n`;
  const rest = Buffer.from(`${await recordedBody("82-chat-continued.txt")}\n\n`);
  const parse = (text: string): Chunk[] =>
    text.split("\n\n").flatMap((event) => (event.startsWith("data: {") ? [JSON.parse(event.slice(6)) as Chunk] : []));
  const wholeEvents = whole.split("\n\n");
  const sent = wholeEvents
    .slice(0, 5)
    .map((event) => `${event}\n\n`)
    .join("");
  const recording = createRecording("chat");
  record(recording, Buffer.from(sent));
  const recordedNow = recordedIn(recording);
  if (!recordedNow) throw new Error("nothing recorded");
  expect(recordedNow).toMatchObject({ content: "1. Red:", events: 4 });
  const textOf = (chunks: Chunk[]): string =>
    chunks.map(({ choices: [choice] }) => choice?.delta.content ?? "").join("");
  for (const size of [1, 7, 100, 4096, rest.length]) {
    const [first = new Uint8Array(), ...others] = pieces(rest, size);
    const begun = splicedFrom({ first, source: sourceOf(others) }, { ...seam, recorded: recordedNow });
    const seen = await relayed(begun.first, begun.source);
    expect(seen.text).toStartWith(": continued\n\n");
    const spliced = `${sent}${Buffer.from(seen.text, "latin1").toString()}`;
    const [expected, got] = [parse(whole), parse(spliced)];
    expect(textOf(got)).toBe(textOf(expected));
    expect(new Set(got.map(({ id }) => id)).size).toBe(1);
    expect(got.filter(({ choices: [choice] }) => choice?.delta.role !== undefined).length).toBe(1);
    expect(spliced.match(/\[DONE\]/g)?.length).toBe(1);
    const usage = { completion_tokens: 40, prompt_tokens: 38, total_tokens: 78 };
    expect(got.findLast((chunk) => chunk.usage)?.usage).toMatchObject(usage);
    expect(expected.findLast((chunk) => chunk.usage)?.usage).toMatchObject(usage);
  }
});

test("a new stream that is lost, too, ends with whole events", async () => {
  const text = chunk({ content: "a" }) + chunk({ content: "b" });
  const lost = { kind: "lost", error: "RemoteProtocolError", cause: "truncated" } as const;
  for (let cut = 0; cut <= text.length; cut += 7) {
    const begun = splicedFrom(
      { first: Buffer.from(""), source: sourceOf([Buffer.from(text.slice(0, cut))], lost) },
      seam,
    );
    const seen = await relayed(begun.first, begun.source);
    expect(seen.ends).toEqual([lost]);
    const events = seen.text.split("\n\n").slice(1, -2);
    expect(events.join("\n\n")).toBe(asOld(text).split("\n\n").slice(0, events.length).join("\n\n"));
  }
});
