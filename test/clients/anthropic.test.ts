// The official `@anthropic-ai/sdk` on /v1/messages of the built executable: its ordinary work, and the same while things break.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { messageToolUse, messageToolUseStream, WEATHER, weatherSchema } from "./scripts.ts";
import {
  acrossEviction,
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

const connect = ({ url }: Service, apiKey = KEY): Anthropic => new Anthropic({ baseURL: url, apiKey });
/** As versions below 1.0 send it, and people who set the header themselves. */
const connectByHeader = ({ url }: Service, apiKey = KEY): Anthropic =>
  new Anthropic({ baseURL: url, apiKey: null, defaultHeaders: { "x-api-key": apiKey } });
const ask = { model: "primary", max_tokens: 4, messages: [{ role: "user" as const, content: "hello" }] };
const tools = [{ name: "weather", input_schema: { ...weatherSchema, required: [...weatherSchema.required] } }];
const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("");

async function streamed(anthropic: Anthropic, more: object = {}, onText: (text: string) => void = () => {}) {
  let text = "";
  for await (const event of await anthropic.messages.create({ ...ask, ...more, stream: true })) {
    if (event.type !== "content_block_delta" || event.delta.type !== "text_delta") continue;
    text += event.delta.text;
    onText(text);
  }
  return text;
}

/** Every way in which the package asks for text; each gives what the model said. */
const ways: Readonly<Record<string, (anthropic: Anthropic) => Promise<string>>> = {
  create: async (anthropic) => textOf(await anthropic.messages.create(ask)),
  "create, streamed": (anthropic) => streamed(anthropic),
  "the stream helper": (anthropic) => anthropic.messages.stream(ask).finalText(),
};

test("anthropic does its ordinary work", async () => {
  await using service = await startService();
  const anthropic = connect(service);
  for (const [name, way] of Object.entries(ways))
    expect({ name, text: await way(anthropic) }).toEqual({ name, text: said(4) });

  const message = await anthropic.messages.create(ask);
  expect(message).toMatchObject({ type: "message", role: "assistant", stop_reason: "max_tokens" });
  expect(message.usage).toMatchObject({ input_tokens: 9, output_tokens: 4 });
  const { input_tokens } = await anthropic.messages.countTokens({ model: "primary", messages: ask.messages });
  expect(input_tokens).toBeGreaterThan(0);
  expect(textOf(await connectByHeader(service).messages.create(ask))).toBe(said(4));
  // The key is ours to check, and goes no further.
  const sent = service.child().requests.map(({ headers }) => headers);
  expect(sent).toContainEqual(expect.objectContaining({ "anthropic-version": expect.any(String) }));
  expect(JSON.stringify(sent)).not.toContain(KEY);
});

test("anthropic's tool use passes through, whole and streamed", async () => {
  await using service = await startService();
  const anthropic = connect(service);
  const whole = await anthropic.messages.create({ ...ask, tools, ...messageToolUse });
  const stream = anthropic.messages.stream({ ...ask, tools, ...messageToolUseStream });
  for (const { stop_reason, content } of [whole, await stream.finalMessage()]) {
    expect(stop_reason).toBe("tool_use");
    expect(content).toEqual([
      expect.objectContaining({ type: "tool_use", id: "toolu_1", name: "weather", input: WEATHER }),
    ]);
  }
  const sent = service
    .child()
    .requests.filter(({ isProbe }) => !isProbe)
    .map(({ bodyText }) => JSON.parse(bodyText ?? ""));
  expect(sent.map(({ tools }) => tools)).toEqual([tools, tools]);
});

describe.each(VERSIONS)("lemond %s", (version) => {
  test("anthropic does not notice an eviction, whichever way it asks", async () => {
    await using service = await startService({ lemond: { version } });
    const anthropic = connect(service);
    for (const [name, way] of Object.entries(ways)) {
      const text = await acrossEviction(service, () => way(anthropic));
      expect({ name, text }).toEqual({ name, text: said(4) });
    }
    const count = () => anthropic.messages.countTokens({ model: "primary", messages: ask.messages });
    expect((await acrossEviction(service, count)).input_tokens).toBeGreaterThan(0);
  });

  test("anthropic throws its own error when a stream loses its model, and its next request is served", async () => {
    await using service = await startService({ lemond: { version } });
    const anthropic = connect(service);
    let text = "";
    const stream = streamed(anthropic, LONG, (soFar) => {
      if (text === "") void service.child().kill();
      text = soFar;
    });
    const error: unknown = await stream.catch((thrown: unknown) => thrown);
    expectInterrupted(error);
    expect(said(100).startsWith(text)).toBe(true);
    expect(text.length).toBeLessThan(said(100).length);
    await afterInterruption(service, async () => expect(await ways["create"]?.(anthropic)).toBe(said(4)));
  });
});

test("anthropic's stream helper rejects when its stream loses its model", async () => {
  await using service = await startService();
  const stream = connect(service).messages.stream({ ...ask, ...LONG });
  stream.once("text", () => void service.child().kill());
  const error: unknown = await stream.finalMessage().catch((thrown: unknown) => thrown);
  expectInterrupted(error);
});

test("anthropic waits for a slot that is being loaded, and comes back when it is told to", async () => {
  await using service = await startService({ loaded: [] });
  const anthropic = connect(service);
  const texts = await whileLoading(
    service,
    Object.values(ways).map((way) => () => way(anthropic)),
  );
  expect(new Set(texts)).toEqual(new Set([said(4)]));
});

test("anthropic does not send again what was sent twice already", async () => {
  await using service = await startService();
  const anthropic = connect(service);
  const broken = { sim: { cutAfterBytes: 0, cut: "rst" } };
  const error: unknown = await anthropic.messages.create({ ...ask, ...broken }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Anthropic.InternalServerError);
  expect(error).toMatchObject({ status: 502, type: "api_error" });
  expect(await service.dispatched(502)).toBe(1);
  expect(service.child().prompts()).toBe(2);
});

test("anthropic with a wrong key throws its own authentication error, whichever header carries the key", async () => {
  await using service = await startService();
  for (const anthropic of [connect(service, WRONG_KEY), connectByHeader(service, WRONG_KEY)])
    for (const way of Object.values(ways)) {
      const error: unknown = await way(anthropic).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
      expect(error).toMatchObject({ status: 401, type: "authentication_error" });
    }
  expect(service.child().prompts()).toBe(0);
  expect(service.binary.stdout).not.toContain(WRONG_KEY);
});

function expectInterrupted(error: unknown): void {
  expect(error).toBeInstanceOf(Anthropic.APIError);
  expect(error).toMatchObject({ type: "api_error" });
  expect(String(error)).toContain("dispatch.stream_interrupted");
}
