// Streams whose child dies in the middle, on real sockets: the client sees one whole answer, equal to the undisturbed one.
import { describe, expect, test } from "bun:test";
import { readStream, type Streamed } from "../lemond/speech-steps.ts";
import type { ChatSettings } from "../lemond/index.ts";
import type { Version } from "../lemond/types.ts";
import { startStack, type Stack, type StackOptions } from "../stack.ts";

const messages = [{ role: "user", content: "Name three colours." }];
const ask = { model: "primary", stream: true, messages, max_tokens: 40, stream_options: { include_usage: true } };
const CHAT = "/v1/chat/completions";
const UNFIT = "the template does not continue the text as it is";

const speaking = (chat: ChatSettings, more: StackOptions = {}): StackOptions => ({
  ...more,
  lemond: { models: [{ id: "tiny-a", chat }], ...more.lemond },
});

/** What a stream says, its last event apart where that is an error. */
const heard = (text: string): Streamed => readStream(text.replace(/data: \{"error":.*\n\n/, ""));

/** The whole stream without anybody's death. */
async function undisturbed(stack: Stack, body: object = ask, path = CHAT): Promise<Streamed> {
  return heard(await (await stack.post(path, body)).text());
}

interface Cut {
  readonly events: number;
  readonly body?: object;
  readonly path?: string;
  readonly tokenMs?: number;
  /** What happens to the child; default: it is killed. */
  readonly how?: (stack: Stack) => unknown;
}

/** The client's whole stream of which so many events with text had come when its child was lost. */
async function cutAfter(
  stack: Stack,
  { events, body = ask, path = CHAT, tokenMs = 5, how = kill }: Cut,
): Promise<string> {
  const response = await stack.post(path, { ...body, sim: { tokenMs } });
  expect(response.status).toBe(200);
  const decoder = new TextDecoder();
  let text = "";
  let isCut = false;
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    const { content, reasoning } = heard(text);
    if (isCut || content.length + reasoning.length < events) continue;
    isCut = true;
    void how(stack);
  }
  // On a busy machine the answer may be over before its child is: that was no cut.
  const isWhole = text.includes("[DONE]") && !text.includes(": continued") && how === kill;
  return isWhole ? cutAfter(stack, { events, body, path, how }) : text;
}

const kill = (stack: Stack): Promise<void> => stack.child().kill();

const joined = (stream: Streamed): string => [...stream.reasoning, "|", ...stream.content].join("");
const ids = (text: string): Set<string | undefined> => new Set(text.match(/"id":"[^"]*"/g));

/** One answer, as nobody could tell from an undisturbed one, and one load for one death. */
function expectWhole(stack: Stack, text: string, whole: Streamed): void {
  const got = heard(text);
  expect(joined(got)).toBe(joined(whole));
  expect({ roles: got.roles, finish: got.finish, isDone: got.isDone }).toEqual({
    roles: whole.roles,
    finish: whole.finish,
    isDone: true,
  });
  expect([ids(text).size, text.match(/\[DONE\]/g)?.length, text.match(/^: continued$/gm)?.length]).toEqual([1, 1, 1]);
  const { prompt_tokens, completion_tokens } = whole.usage ?? {};
  expect(got.usage).toMatchObject({ prompt_tokens, completion_tokens });
  expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
}

const outcomes = async (stack: Stack): Promise<Record<string, number>> => {
  const text = await (await fetch(`${stack.url}/metrics`)).text();
  const found = text.matchAll(/^hal0_dispatch_stream_continued_total\{slot="primary",outcome="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, outcome = "", count]) => [outcome, Number(count)]));
};

describe.each<Version>(["10.6", "11.7"])("lemond %s: a chat whose child is killed", (version) => {
  test.each<[string, ChatSettings]>([
    ["speaks", { says: "words" }],
    ["counts", { says: "counted" }],
    ["thinks and adds its newlines again", { says: "words", template: "qwen3" }],
    ["thinks from the prompt on", { says: "words", template: "r1" }],
    ["begins with an emoji, and so has no role", { text: "🍋😀 und\n\nblau, grün. Das war es." }],
  ])(
    "and %s goes on to its end, wherever it was cut",
    async (_, chat) => {
      await using stack = await startStack(speaking(chat, { lemond: { version } }));
      const whole = await undisturbed(stack);
      const events = whole.reasoning.length + whole.content.length;
      expect(events).toBeGreaterThan(6);
      const places = new Set([1, 2, whole.reasoning.length || 3, whole.reasoning.length + 1, events - 2]);
      for (const events of places) expectWhole(stack, await cutAfter(stack, { events }), whole);
      expect(stack.logged("dispatch.stream_continued").length).toBe(places.size);
      expect(await outcomes(stack)).toEqual({ continued: places.size });
      expect(stack.lemond.loads()).toBe(stack.lemond.children().length);
    },
    30_000,
  );
});

describe("a cut chat goes on", () => {
  test("with its log line, its record, and no word of it in the headers", async () => {
    await using stack = await startStack(speaking({ says: "words" }));
    const [first, text] = [stack.child(), await cutAfter(stack, { events: 5 })];
    expect(await stack.line("dispatch.stream_continued")).toMatchObject({
      request_id: expect.any(String),
      slot: "primary",
      from: first.url,
      to: stack.child().url,
      chars: heard(text).content.slice(0, 5).join("").length,
      took_ms: expect.any(Number),
    });
    const records = (await (await fetch(`${stack.url}/api/requests`)).json()) as { requests: unknown[] };
    expect(JSON.stringify(records)).toContain('"continued":true');
    expect(JSON.stringify(stack.lines)).not.toContain("colours");
  });

  test("where another client had its model evicted", async () => {
    const lemond = { maxModels: 1, endsAtTerm: "all" as const };
    await using stack = await startStack(speaking({ says: "words" }, { lemond, lemonade: { pollMs: 100 } }));
    await stack.lemond.load("tiny-a");
    const whole = await undisturbed(stack);
    const text = await cutAfter(stack, { events: 5, how: () => stack.lemond.evict("tiny-a") });
    expectWhole(stack, text, whole);
  }, 20_000);

  test("from the same child, where that lives and closed the connection", async () => {
    await using stack = await startStack(speaking({ says: "words" }));
    const whole = await undisturbed(stack);
    // Each connection is closed after so many bytes, the second one too.
    const text = await (await stack.post(CHAT, { ...ask, sim: { tokenMs: 5, cutAfterBytes: 3000 } })).text();
    const [before = "", after = ""] = text.split(": continued\n\n").map((part) => joined(heard(part)).slice(1));
    expect(Math.min(before.length, after.length)).toBeGreaterThan(10);
    expect(joined(whole).slice(1)).toStartWith(before + after);
    expect([stack.lemond.loads(), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(await outcomes(stack)).toEqual({ continued: 1 });
  });

  test("without being asked for more, where max_tokens was used up when it was cut", async () => {
    await using stack = await startStack(speaking({ says: "counted" }));
    for (const stream_options of [{ include_usage: true }, { include_usage: false }]) {
      const body = { ...ask, max_tokens: 6, stream_options };
      const whole = await undisturbed(stack, body);
      const before = stack.lemond.children().length;
      const sim = { tokens: 7, tokenMs: 100 };
      const response = await stack.post(CHAT, { ...body, sim });
      const reader = response.body?.getReader();
      let text = "";
      while (heard(text).content.length < 6) text += Buffer.from((await reader?.read())?.value ?? []).toString();
      // The seventh word never comes: the child is killed between the last one that was wanted and the end.
      await stack.child().kill();
      for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
        text += Buffer.from(step.value).toString();
      const got = heard(text);
      expect({ ...got, roles: 0 }).toEqual({ ...whole, roles: 0, usage: got.usage });
      expect(got.usage?.completion_tokens).toBe(whole.usage?.completion_tokens as number);
      expect(got.usage?.prompt_tokens).toBe(whole.usage?.prompt_tokens as number);
      const generated = stack.lemond
        .children()
        .slice(before)
        .flatMap(({ requests }) => requests);
      expect(generated.filter(({ path }) => path.endsWith(CHAT))).toEqual([]);
    }
  });

  test("to its end alone, where that had begun when it was cut", async () => {
    await using stack = await startStack(speaking({ text: "Rot." }));
    for (const last of ['"finish_reason":"stop"', '"usage":', "[DONE]"]) {
      const whole = await undisturbed(stack);
      const response = await stack.post(CHAT, { ...ask, sim: { tokenMs: 150 } });
      const reader = response.body?.getReader();
      let text = "";
      while (!text.includes(last)) text += Buffer.from((await reader?.read())?.value ?? []).toString();
      await stack.child().kill();
      for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
        text += Buffer.from(step.value).toString();
      expect(heard(text)).toMatchObject({
        ...whole,
        usage: expect.objectContaining({ prompt_tokens: whole.usage?.prompt_tokens }),
      });
      expect(text.match(/\[DONE\]/g)?.length).toBe(1);
      expect(text.match(/finish_reason":"stop/g)?.length).toBe(1);
      expect(text.match(/"usage"/g)?.length).toBe(1);
      await stack.slotIs(({ state }) => state === "ready");
    }
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
    expect(await outcomes(stack)).toEqual({ continued: 1 });
  });

  test("although its stop sequence lies across the seam", async () => {
    const text = "Rot, grün und blau. Das war es, mehr nicht, und damit ist Schluss.";
    await using stack = await startStack(speaking({ text }));
    for (const stop of [" war es", "es, mehr", "Schluss."]) {
      const body = { ...ask, max_tokens: 100, stop: [stop] };
      const whole = await undisturbed(stack, body);
      const { content } = whole;
      for (const events of [content.length - 3, content.length - 2, content.length - 1])
        expectWhole(stack, await cutAfter(stack, { events, body }), whole);
    }
  }, 20_000);

  test("with heartbeats until it does", async () => {
    await using stack = await startStack(speaking({ says: "words" }, { server: { heartbeatMs: 100 } }));
    const whole = await undisturbed(stack);
    const latch = stack.lemond.holdLoads();
    setTimeout(latch.release, 700);
    const text = await cutAfter(stack, { events: 5 });
    expectWhole(stack, text, whole);
    const beats = text.match(/^: (checking|loading|continuing) of primary, \d+ s.*$/gm) ?? [];
    expect(beats.length).toBeWithin(2, 30);
    expect(text.indexOf(beats.at(-1) ?? "")).toBeLessThan(text.indexOf(": continued\n"));
  });

  test.each<[string, ChatSettings, string]>([
    ["", { says: "words" }, "Colours:"],
    [" whose answer begins inside a word", { text: "s are red, blue, green, and all that lies between." }, "My colour"],
  ])("as a completion%s", async (_, chat, prompt) => {
    await using stack = await startStack(speaking(chat));
    const body = { model: "primary", stream: true, prompt, max_tokens: 30 };
    const path = "/v1/completions";
    const whole = await undisturbed(stack, body, path);
    for (const events of [1, 5, 10]) expectWhole(stack, await cutAfter(stack, { events, body, path }), whole);
  });

  test("once, and breaks off when it is cut again", async () => {
    await using stack = await startStack(speaking({ says: "words" }));
    const places = [3, 9];
    let cuts = 0;
    const response = await stack.post(CHAT, { ...ask, sim: { tokenMs: 10 } });
    let text = "";
    for await (const bytes of response.body ?? []) {
      text += Buffer.from(bytes).toString();
      if (heard(text).content.length < (places[cuts] ?? Infinity)) continue;
      cuts++;
      void stack.child().kill();
    }
    expect(text).toContain(": continued\n\n");
    expect(text).toMatch(/\n\ndata: \{"error":.*dispatch\.stream_interrupted.*\}\}\n\n$/);
    expect(await outcomes(stack)).toEqual({ continued: 1 });
  });
});

test("64 streams cut by one death go on, with one load", async () => {
  await using stack = await startStack(speaking({ says: "words" }, { lemond: { loadMs: 300 } }));
  const whole = await undisturbed(stack);
  let begun = 0;
  const streams = await Promise.all(
    Array.from({ length: 64 }, () => stack.post(CHAT, { ...ask, sim: { tokenMs: 30 } })),
  );
  const texts = await Promise.all(
    streams.map(async (response) => {
      let text = "";
      for await (const bytes of response.body ?? []) {
        if (text === "" && ++begun === streams.length) void stack.child().kill();
        text += Buffer.from(bytes).toString();
      }
      return text;
    }),
  );
  for (const text of texts) expectWhole(stack, text, whole);
  expect([stack.lemond.loads(), stack.lemond.unloads() <= 1]).toEqual([2, true]);
  expect(await outcomes(stack)).toEqual({ continued: 64 });
}, 30_000);

describe("a cut stream breaks off as ever", () => {
  const broken = /\n\ndata: \{"error":.*"dispatch\.stream_interrupted".*\}\n\n$/;

  /** Cut after three events, with what the log says of the reason. */
  const expectBroken = async (stack: Stack, cut: Partial<Cut>, reason: string | undefined): Promise<void> => {
    const text = await cutAfter(stack, { events: 3, tokenMs: 20, how: (stack) => kill(stack), ...cut });
    expect(text).toMatch(broken);
    expect(text).not.toContain("[DONE]");
    const line = await stack.line("dispatch.stream_interrupted");
    expect(line["not_continued"]).toEqual(reason);
    await stack.slotIs(({ in_flight, waiting }) => in_flight + waiting === 0);
  };

  test.each<[string, ChatSettings, string]>([
    ["of a build that does not know how", { build: "older" }, "the build cannot continue a message"],
    ["whose template damages the prompt", { template: "phi-3.5" }, UNFIT],
    ["whose template trims the text", { template: "trims", text: "a \n \n \n \n b c d e f g h i j k" }, UNFIT],
    ["whose template closes the message", { template: "closes" }, UNFIT],
  ])("%s", async (_, chat, reason) => {
    await using stack = await startStack(speaking(chat));
    await expectBroken(stack, {}, reason);
    expect(await outcomes(stack)).toEqual({ refused: 1 });
    expect((await stack.chat()).status).toBe(200);
    expect(stack.lemond.loads()).toBe(2);
  });

  test.each<[string, object, string]>([
    ["two answers", { n: 2 }, "n"],
    ["a schema", { response_format: { type: "json_object" } }, "response_format"],
    ["log probabilities", { logprobs: true }, "logprobs"],
    ["a tool that must be used", { tools: [], tool_choice: "required" }, "tool_choice"],
    ["its own continuation", { add_generation_prompt: true }, "add_generation_prompt"],
  ])("that asked for %s, and the child is asked nothing", async (_, more, field) => {
    await using stack = await startStack(speaking({ says: "counted" }));
    await expectBroken(stack, { body: { ...ask, ...more } }, `the request has ${field}`);
    await stack.slotIs(({ state, generation }) => state === "ready" && generation === 2);
    expect(stack.child().requests.filter(({ method }) => method === "POST")).toEqual([]);
    expect(await outcomes(stack)).toEqual({});
  });

  test("whose slot says so", async () => {
    await using stack = await startStack(speaking({ says: "counted" }, { continues: false }));
    await expectBroken(stack, {}, undefined);
  });

  test("whose body is larger than 2 MB", async () => {
    await using stack = await startStack(speaking({ says: "counted" }));
    const large = [{ role: "user", content: "x".repeat(2 * 1024 * 1024) }];
    await expectBroken(stack, { body: { ...ask, messages: large } }, undefined);
  });

  test("that an operator unloaded", async () => {
    await using stack = await startStack(speaking({ says: "counted" }, { server: { drainMs: 50 } }));
    const unload = (stack: Stack): unknown => stack.post("/api/slots/primary/unload", {});
    const reason = "an operator unloaded its model";
    await expectBroken(stack, { how: unload, body: { ...ask, max_tokens: 1000 } }, reason);
    expect(stack.lemond.loads()).toBe(1);
  });

  test("whose slot cannot be loaded again", async () => {
    await using stack = await startStack(speaking({ says: "counted" }));
    stack.lemond.failLoads("tiny-a", 9);
    await expectBroken(stack, {}, expect.any(String) as unknown as string);
    expect(await outcomes(stack)).toEqual({ lost: 1 });
  });

  test("of other routes", async () => {
    await using stack = await startStack(speaking({ says: "counted" }));
    for (const [path, last] of [
      ["/v1/messages", /event: error\ndata: .*dispatch\.stream_interrupted.*\n\n$/],
      ["/v1/responses", /event: response\.failed\ndata: .*dispatch\.stream_interrupted.*\n\n$/],
    ] as const) {
      const body = {
        model: "primary",
        stream: true,
        messages,
        input: "hello",
        max_tokens: 200,
        max_output_tokens: 200,
      };
      const response = await stack.post(path, { ...body, sim: { tokenMs: 20 } });
      const reader = response.body?.getReader();
      let text = Buffer.from((await reader?.read())?.value ?? []).toString();
      await stack.child().kill();
      for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
        text += Buffer.from(step.value).toString();
      expect(text).toMatch(last);
    }
    expect(await outcomes(stack)).toEqual({});
  });
});

test("a client that leaves while its stream is to go on costs nothing more, and the load is finished", async () => {
  await using stack = await startStack(speaking({ says: "words" }));
  const leave = new AbortController();
  const latch = stack.lemond.holdLoads();
  const response = await stack.post(CHAT, { ...ask, sim: { tokenMs: 10 } }, { signal: leave.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  await stack.child().kill();
  await stack.lemond.receivedAny("/v1/load", ({ status }) => status === undefined);
  leave.abort();
  await reader?.read().catch(() => null);
  await stack.slotIs(({ waiting }) => waiting === 0);
  latch.release();
  await stack.slotIs(({ state, in_flight }) => state === "ready" && in_flight === 0);
  expect(stack.child().requests.filter(({ method }) => method === "POST")).toEqual([]);
  expect(await outcomes(stack)).toEqual({});
});
