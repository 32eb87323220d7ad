// The official `openai` package against the built executable: its ordinary work, and the same while things break.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { chatToolCall, chatToolCallStream, WEATHER, weatherSchema } from "./scripts.ts";
import {
  acrossEviction,
  afterContinuation,
  afterInterruption,
  KEY,
  LONG,
  said,
  startService,
  VERSIONS,
  whileLoading,
  WRONG_KEY,
  type Service,
} from "./service.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const connect = ({ url }: Service, apiKey = KEY): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey });
const ask = { model: "primary", messages: [{ role: "user" as const, content: "hello" }] };
const tools = [{ type: "function" as const, function: { name: "weather", parameters: weatherSchema } }];

async function streamed(openai: OpenAI, more: object = {}, onText: (text: string) => void = () => {}): Promise<string> {
  let text = "";
  for await (const { choices } of await openai.chat.completions.create({ ...ask, ...more, stream: true })) {
    text += choices[0]?.delta.content ?? "";
    if (text !== "") onText(text);
  }
  return text;
}

async function streamedResponse(openai: OpenAI, more: object = {}, onText: () => void = () => {}): Promise<string> {
  let text = "";
  for await (const event of await openai.responses.create({
    model: "primary",
    input: "hello",
    ...more,
    stream: true,
  })) {
    if (event.type !== "response.output_text.delta") continue;
    text += event.delta;
    onText();
  }
  return text;
}

/** Every way in which the package asks for text; each gives what the model said. */
const ways: Readonly<Record<string, (openai: OpenAI) => Promise<string | null | undefined>>> = {
  chat: async (openai) => (await openai.chat.completions.create(ask)).choices[0]?.message.content,
  "a chat stream": (openai) => streamed(openai),
  "the chat stream helper": (openai) => openai.chat.completions.stream(ask).finalContent(),
  completions: async (openai) =>
    (await openai.completions.create({ model: "primary", prompt: "hello", max_tokens: 4 })).choices[0]?.text,
  responses: async (openai) => (await openai.responses.create({ model: "primary", input: "hello" })).output_text,
  "a responses stream": (openai) => streamedResponse(openai),
  "the responses stream helper": async (openai) =>
    (await openai.responses.stream({ model: "primary", input: "hello" }).finalResponse()).output_text,
};

test("openai does its ordinary work", async () => {
  await using service = await startService();
  const openai = connect(service);
  for (const [name, way] of Object.entries(ways))
    expect({ name, text: await way(openai) }).toEqual({ name, text: said(4) });

  const { data, usage } = await openai.embeddings.create({ model: "embed", input: ["one", "two"] });
  expect(data.map(({ embedding }) => embedding.length)).toEqual([64, 64]);
  expect(usage.total_tokens).toBe(14);

  const models: string[] = [];
  for await (const model of openai.models.list()) models.push(model.id);
  expect(models).toEqual(expect.arrayContaining(["primary", "embed", "tiny-a", "tiny-b"]));
  expect(await openai.models.retrieve("primary")).toMatchObject({ id: "primary", object: "model" });
  expect(service.lemond.loads()).toBe(2); // Those of the beginning.
});

test("openai's tool calls pass through, whole and streamed", async () => {
  await using service = await startService();
  const openai = connect(service);
  const whole = await openai.chat.completions.create({ ...ask, tools, ...chatToolCall });
  const stream = openai.chat.completions.stream({ ...ask, tools, ...chatToolCallStream });
  for (const { choices } of [whole, await stream.finalChatCompletion()]) {
    const [choice] = choices;
    expect(choice?.finish_reason).toBe("tool_calls");
    const [call] = choice?.message.tool_calls ?? [];
    expect(call).toMatchObject({ id: "call_1", type: "function", function: { name: "weather" } });
    expect(call?.type === "function" && JSON.parse(call.function.arguments)).toEqual(WEATHER);
  }
  const sent = service
    .child()
    .requests.filter(({ isProbe }) => !isProbe)
    .map(({ bodyText }) => JSON.parse(bodyText ?? ""));
  expect(sent.map(({ tools }) => tools)).toEqual([tools, tools]);
});

describe.each(VERSIONS)("lemond %s", (version) => {
  test("openai does not notice an eviction, whichever way it asks", async () => {
    await using service = await startService({ lemond: { version } });
    const openai = connect(service);
    for (const [name, way] of Object.entries(ways)) {
      const text = await acrossEviction(service, () => way(openai));
      expect({ name, text }).toEqual({ name, text: said(4) });
    }
  });

  test("openai does not notice an eviction: embeddings", async () => {
    await using service = await startService({ lemond: { version } });
    const openai = connect(service);
    const use = () => openai.embeddings.create({ model: "embed", input: "one" });
    const { data } = await acrossEviction(service, use, "tiny-emb");
    expect(data[0]?.embedding.length).toBe(64);
    expect(service.child().isAlive).toBe(true);
  });

  test("openai does not notice that its chat streams lose their model in the middle", async () => {
    await using service = await startService({ lemond: { version } });
    const openai = connect(service);
    let killed: Promise<void> | undefined;
    const kill = (): void => void (killed ??= service.child().kill());
    expect(await streamed(openai, LONG, kill)).toBe(said(100));
    await afterContinuation(service, 1);
    const stream = openai.chat.completions.stream({ ...ask, ...LONG });
    stream.once("content", () => void service.child().kill());
    const { choices, id } = await stream.finalChatCompletion();
    expect([choices.length, choices[0]?.message.content, choices[0]?.finish_reason]).toEqual([1, said(100), "stop"]);
    expect(id).toStartWith("chatcmpl-");
    await afterContinuation(service, 2);
  });

  test("openai throws its own error when a stream loses its model, and its next request is served", async () => {
    await using service = await startService({ lemond: { version }, continues: false });
    const openai = connect(service);
    let text = "";
    const stream = streamed(openai, LONG, (soFar) => {
      if (text === "") void service.child().kill();
      text = soFar;
    });
    const error: unknown = await stream.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ code: "dispatch.stream_interrupted", type: "server_error" });
    expect(said(100).startsWith(text)).toBe(true);
    expect(text.length).toBeLessThan(said(100).length);
    await afterInterruption(service, async () => expect(await ways["a chat stream"]?.(openai)).toBe(said(4)));
  });

  test("openai throws its own error when a responses stream loses its model", async () => {
    await using service = await startService({ lemond: { version } });
    const openai = connect(service);
    let killed: Promise<void> | undefined;
    const kill = (): void => void (killed ??= service.child().kill());
    const error: unknown = await streamedResponse(openai, LONG, kill).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ code: "dispatch.stream_interrupted" });
    await afterInterruption(service, async () => expect(await ways["responses"]?.(openai)).toBe(said(4)));
  });
});

test.each(["chat", "responses"] as const)(
  "openai's stream helper of %s rejects when its stream loses its model",
  async (api) => {
    await using service = await startService({ continues: false });
    const openai = connect(service);
    const kill = (): void => void service.child().kill();
    const run = {
      chat: () =>
        openai.chat.completions
          .stream({ ...ask, ...LONG })
          .once("content", kill)
          .finalContent(),
      responses: () =>
        openai.responses
          .stream({ model: "primary", input: "hello", ...LONG })
          .once("response.output_text.delta", kill)
          .finalResponse(),
    }[api];
    const error: unknown = await run().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ code: "dispatch.stream_interrupted" });
  },
);

test("openai waits for a slot that is being loaded, and comes back when it is told to", async () => {
  await using service = await startService({ loaded: [] });
  const openai = connect(service);
  const texts = await whileLoading(
    service,
    Object.values(ways).map((way) => () => way(openai)),
  );
  expect(new Set(texts)).toEqual(new Set([said(4)]));
});

test("openai does not send again what was sent twice already", async () => {
  await using service = await startService();
  const openai = connect(service);
  const broken = { sim: { cutAfterBytes: 0, cut: "rst" } };
  const error: unknown = await openai.chat.completions.create({ ...ask, ...broken }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.InternalServerError);
  expect(error).toMatchObject({ status: 502, code: "dispatch.upstream_unavailable", type: "server_error" });
  expect(await service.dispatched(502)).toBe(1);
  expect(service.child().prompts()).toBe(2);
  expect(service.lemond.loads()).toBe(2);
});

test("openai with a wrong key throws its own authentication error", async () => {
  await using service = await startService();
  const openai = connect(service, WRONG_KEY);
  for (const way of [...Object.values(ways), () => openai.models.list()]) {
    const error: unknown = await way(openai).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error).toMatchObject({ status: 401, code: "auth.invalid_key" });
  }
  expect(service.child().prompts()).toBe(0);
  expect(service.binary.stdout).not.toContain(WRONG_KEY);
});

test("openai that aborts a stream is left alone: the child sees it, nothing is repaired", async () => {
  await using service = await startService();
  const openai = connect(service);
  const aborted = service.child().abortedAny();
  const stream = await openai.chat.completions.create({ ...ask, ...LONG, stream: true });
  let chunks = 0;
  for await (const _ of stream) if (++chunks === 3) stream.controller.abort();
  expect(chunks).toBeLessThan(100);
  await aborted;
  await service.binary.line("slot.transition", ({ from, to }) => from === "serving" && to === "ready");
  expect(await service.slot()).toMatchObject({ in_flight: 0, waiting: 0, state: "ready" });
  expect(service.child().prompts()).toBe(1);
  expect(service.lemond.loads()).toBe(2);
  expect(service.lemond.unloads()).toBe(0);
  expect(await service.interrupted()).toBe(0);
  expect(await ways["chat"]?.(openai)).toBe(said(4));
});
