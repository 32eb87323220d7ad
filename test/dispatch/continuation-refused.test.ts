// Streams that are not continued: they break off as ever, and say so.
import { describe, expect, test } from "bun:test";
import type { ChatSettings } from "../lemond/index.ts";
import { startStack, type Stack } from "../stack.ts";
import { ask, CHAT, cutAfter, kill, messages, outcomes, speaking, UNFIT, type Cut } from "../cut.ts";

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

  test("whose prompt is larger than max_reply_mb", async () => {
    await using stack = await startStack(speaking({}, { server: { maxReplyBytes: 4096 } }));
    const long = [{ role: "user", content: "x".repeat(8192) }];
    const reason = "the child answered 200 to its template";
    await expectBroken(stack, { body: { ...ask, messages: long } }, reason);
    expect(await outcomes(stack)).toEqual({ refused: 1 });
  });

  test("whose body can be read and is too deep to be written anew", async () => {
    await using stack = await startStack(speaking({}));
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    const body = JSON.stringify({ ...ask, sim: { tokens: 400, tokenMs: 20 } }).replace(/\}$/, `,"deep":${deep}}`);
    const reader = (await stack.post(CHAT, body)).body?.getReader();
    let text = Buffer.from((await reader?.read())?.value ?? []).toString();
    await stack.child().kill();
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
      text += Buffer.from(step.value).toString();
    expect(text).toMatch(broken);
    expect(await stack.line("dispatch.stream_interrupted")).toMatchObject({
      not_continued: "its request cannot be written anew",
    });
    await stack.slotIs(({ in_flight, waiting }) => in_flight + waiting === 0);
  });

  test("whose child does not count the text, so that more could come than the client's limit", async () => {
    await using stack = await startStack(speaking({ says: "words", template: "qwen3" }));
    await stack.child().set({ closeOnPath: "/tokenize" });
    const text = await (
      await stack.post(CHAT, { ...ask, max_tokens: 7, sim: { cutAfterBytes: 1000, tokenMs: 5 } })
    ).text();
    expect(text).toMatch(broken);
    expect(text).not.toContain(": continued");
    expect(await outcomes(stack)).toEqual({ lost: 1 });
    // Without a limit nothing can be exceeded.
    const free = await (
      await stack.post(CHAT, { ...ask, max_tokens: null, sim: { cutAfterBytes: 1000, tokenMs: 5 } })
    ).text();
    expect(free).toContain(": continued");
    expect(await outcomes(stack)).toEqual({ lost: 1, continued: 1 });
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
