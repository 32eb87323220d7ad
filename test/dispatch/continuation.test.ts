// Streams whose child dies in the middle, on real sockets: the client sees one whole answer, equal to the undisturbed one.
import { describe, expect, test } from "bun:test";
import type { ChatSettings } from "../lemond/index.ts";
import type { Version } from "../lemond/types.ts";
import { startStack } from "../stack.ts";
import { promptsOf } from "../prompts.ts";
import { ask, CHAT, cutAfter, expectWhole, heard, joined, outcomes, speaking, undisturbed } from "../cut.ts";

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
      // On a busy machine a stream may have had all its text when its child died: it was cut once more, elsewhere.
      const continued = stack.logged("dispatch.stream_continued").length;
      expect(continued).toBeWithin(places.size, stack.lemond.children().length);
      expect(await outcomes(stack)).toEqual({ continued });
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
      chars: heard(text.split(": continued")[0] ?? "").content.join("").length,
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
      const undisturbed = await (await stack.post(CHAT, body)).text();
      const whole = heard(undisturbed);
      const before = stack.child().requests.length;
      // The connection is closed between the last word that was wanted and the end.
      const cutAfterBytes = undisturbed.indexOf("\n\n", undisturbed.lastIndexOf('"content":"')) + 2;
      const text = await (await stack.post(CHAT, { ...body, sim: { tokenMs: 5, cutAfterBytes } })).text();
      const got = heard(text);
      expect(got.content.length).toBe(6);
      expect({ ...got, roles: 0 }).toEqual({ ...whole, roles: 0, usage: got.usage });
      expect(got.usage?.completion_tokens).toBe(whole.usage?.completion_tokens as number);
      expect(got.usage?.prompt_tokens).toBe(whole.usage?.prompt_tokens as number);
      await promptsOf(stack.child());
      const asked = stack.child().requests.slice(before);
      expect(asked.filter(({ path }) => path === CHAT)).toHaveLength(1);
    }
  });

  test("to its end alone, where that had begun when it was cut", async () => {
    await using stack = await startStack(speaking({ text: "Rot." }));
    for (const last of ['"finish_reason":"stop"', '"usage":', "[DONE]"]) {
      const undisturbed = await (await stack.post(CHAT, ask)).text();
      const whole = heard(undisturbed);
      // The child closes the connection right behind that event.
      const cutAfterBytes = undisturbed.indexOf("\n\n", undisturbed.indexOf(last)) + 2;
      const text = await (await stack.post(CHAT, { ...ask, sim: { tokenMs: 20, cutAfterBytes } })).text();
      expect(heard(text)).toMatchObject({
        ...whole,
        usage: expect.objectContaining({ prompt_tokens: whole.usage?.prompt_tokens }),
      });
      expect(text.match(/\[DONE\]/g)?.length).toBe(1);
      expect(text.match(/finish_reason":"stop/g)?.length).toBe(1);
      expect(text.match(/"usage"/g)?.length).toBe(1);
    }
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
    expect(await outcomes(stack)).toEqual({ continued: 1 });
  });

  test("to its end alone, with no more tokens counted than the client's limit", async () => {
    await using stack = await startStack(speaking({ says: "words", template: "qwen3" }));
    for (const max_tokens of [1, 2]) {
      const body = { ...ask, max_tokens };
      const whole = await undisturbed(stack, body);
      const end = { ...body, sim: { cutAfterBytes: 600, tokenMs: 5 } };
      const text = await (await stack.post(CHAT, end)).text();
      expect(heard(text)).toEqual({ ...whole, usage: heard(text).usage });
      expect(heard(text).usage).toMatchObject({
        prompt_tokens: whole.usage?.prompt_tokens,
        completion_tokens: max_tokens,
      });
    }
    expect(await outcomes(stack)).toEqual({ continued: 2 });
  });

  test("although its stop sequence lies across the seam", async () => {
    const text = "Rot, grün und blau. Das war es, mehr nicht, und damit ist Schluss.";
    await using stack = await startStack(speaking({ text }));
    // Each begins with a token: half of one, held back behind the other half, would be counted as two.
    for (const stop of [" war es", " es, mehr", " Schluss."]) {
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

  test("with no count of tokens where neither a limit nor the usage needs it", async () => {
    await using stack = await startStack(speaking({ says: "words" }));
    const body = { ...ask, max_tokens: null, stream_options: null };
    const whole = await undisturbed(stack, body);
    const text = await cutAfter(stack, { events: 5, body });
    expect(text).toContain(": continued\n\n");
    expect(joined(heard(text))).toBe(joined(whole));
    const posts = stack.child().requests.filter(({ method }) => method === "POST");
    expect(posts.map(({ path }) => path)).toEqual([...Array<string>(3).fill("/apply-template"), CHAT]);
  });

  test("although another client leaves whose question stood for both", async () => {
    await using stack = await startStack(speaking({ says: "words" }));
    const whole = await undisturbed(stack);
    const [first, leave] = [stack.child(), new AbortController()];
    const begin = async (firstByteMs: number, signal: AbortSignal | null) => {
      const response = await stack.post(CHAT, { ...ask, sim: { tokenMs: 25, firstByteMs } }, { signal });
      const reader = response.body?.getReader();
      return { reader, text: Buffer.from((await reader?.read())?.value ?? []).toString() };
    };
    // The one that leaves is the first to ask whether the child knows both flags.
    const [leaving, staying] = await Promise.all([begin(200, leave.signal), begin(300, null)]);
    await first.kill();
    await stack.slotIs(({ generation }) => generation === 2);
    await stack.child().receivedAny(() => stack.child().prompts() === 5);
    leave.abort();
    await leaving.reader?.read().catch(() => null);
    let { text } = staying;
    for (let step = await staying.reader?.read(); step && !step.done; step = await staying.reader?.read())
      text += Buffer.from(step.value).toString();
    expectWhole(stack, text, whole);
    expect(await outcomes(stack)).toEqual({ continued: 1 });
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
  // Both flags once for the child; for each stream two prompts, a count of tokens, and the rest.
  expect(await promptsOf(stack.child())).toEqual([1 + 64 * 4]);
}, 30_000);
