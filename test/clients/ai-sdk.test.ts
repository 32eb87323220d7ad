// The AI SDK (`ai` with `@ai-sdk/openai-compatible`) against the built executable: its ordinary work, and the same while
// things break.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateText,
  jsonSchema,
  RetryError,
  StreamProviderError,
  streamText,
  type ToolSet,
} from "ai";
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

type Provider = ReturnType<typeof connect>;

/** `providerOptions.hal0` become fields of the request's body. */
const connect = ({ url }: Service, apiKey = KEY) =>
  createOpenAICompatible({ name: "hal0", baseURL: `${url}/v1`, apiKey });
const ask = (provider: Provider) => ({ model: provider("primary"), prompt: "hello" });
// Without `execute` a call is given to the caller.
const tools: ToolSet = { weather: { inputSchema: jsonSchema<{ city: string }>(weatherSchema) } };

interface Streamed {
  readonly text: string;
  readonly finishReason: string | undefined;
  readonly errors: readonly unknown[];
}

/** Everything that a caller of `streamText` can learn of how it went. */
async function streamed(
  provider: Provider,
  sim: Readonly<Record<string, string | number>> = {},
  onText: () => void = () => {},
): Promise<Streamed> {
  let text = "";
  let finishReason: string | undefined;
  const errors: unknown[] = [];
  const result = streamText({
    ...ask(provider),
    providerOptions: { hal0: { sim } },
    onError: ({ error }) => void errors.push(error),
  });
  for await (const part of result.fullStream) {
    if (part.type === "finish") finishReason = part.finishReason;
    if (part.type !== "text-delta") continue;
    text += part.text;
    onText();
  }
  return { text, finishReason, errors };
}

const generated = async (provider: Provider): Promise<string> => (await generateText(ask(provider))).text;
const ways: Readonly<Record<string, (provider: Provider) => Promise<string>>> = {
  generateText: generated,
  streamText: async (provider) => {
    const { text, finishReason, errors } = await streamed(provider);
    expect([finishReason, errors]).toEqual(["stop", []]);
    return text;
  },
};

test("the AI SDK does its ordinary work", async () => {
  await using service = await startService();
  const provider = connect(service);
  for (const [name, way] of Object.entries(ways))
    expect({ name, text: await way(provider) }).toEqual({ name, text: said(4) });
  const { usage } = await generateText(ask(provider));
  expect(usage).toMatchObject({ inputTokens: 9, outputTokens: 4 });
  const { embeddings } = await embedMany({ model: provider.embeddingModel("embed"), values: ["one", "two"] });
  expect(embeddings.map(({ length }) => length)).toEqual([64, 64]);
});

test("the AI SDK's tool calls pass through, whole and streamed", async () => {
  await using service = await startService();
  const request = { ...ask(connect(service)), tools };
  const whole = await generateText({ ...request, providerOptions: { hal0: chatToolCall } });
  const stream = streamText({ ...request, providerOptions: { hal0: chatToolCallStream } });
  const call = expect.objectContaining({ toolCallId: "call_1", toolName: "weather", input: WEATHER });
  expect(whole.toolCalls).toEqual([call]);
  expect(await stream.toolCalls).toEqual([call]);
  expect([whole.finishReason, await stream.finishReason]).toEqual(["tool-calls", "tool-calls"]);
});

describe.each(VERSIONS)("lemond %s", (version) => {
  test("the AI SDK does not notice an eviction, whichever way it asks", async () => {
    await using service = await startService({ lemond: { version } });
    const provider = connect(service);
    for (const [name, way] of Object.entries(ways)) {
      const text = await acrossEviction(service, () => way(provider));
      expect({ name, text }).toEqual({ name, text: said(4) });
    }
  });

  test("the AI SDK does not notice that a stream loses its model in the middle", async () => {
    await using service = await startService({ lemond: { version } });
    let killed: Promise<void> | undefined;
    const kill = (): void => void (killed ??= service.child().kill());
    const seen = await streamed(connect(service), LONG.sim, kill);
    expect(seen).toEqual({ text: said(100), finishReason: "stop", errors: [] });
    await afterContinuation(service);
  });

  test("the AI SDK gives its own error when a stream loses its model, and its next request is served", async () => {
    await using service = await startService({ lemond: { version }, continues: false });
    const provider = connect(service);
    let killed: Promise<void> | undefined;
    const kill = (): void => void (killed ??= service.child().kill());
    const { text, finishReason, errors } = await streamed(provider, LONG.sim, kill);
    expect(errors.length).toBe(1);
    expect(errors[0]).toBeInstanceOf(StreamProviderError);
    expect(errors[0]).toMatchObject({ code: "dispatch.stream_interrupted", type: "server_error" });
    expect(finishReason).toBe("error");
    expect(said(100).startsWith(text)).toBe(true);
    expect(text.length).toBeLessThan(said(100).length);
    await afterInterruption(service, async () => expect(await generated(provider)).toBe(said(4)));
  });
});

test("the AI SDK waits for a slot that is being loaded", async () => {
  await using service = await startService({ loaded: [] });
  const provider = connect(service);
  const texts = await whileLoading(
    service,
    Object.values(ways).map((way) => () => way(provider)),
  );
  expect(texts).toEqual([said(4), said(4)]);
});

test("the AI SDK gives its own error when a reply was lost twice", async () => {
  await using service = await startService();
  const providerOptions = { hal0: { sim: { cutAfterBytes: 0, cut: "rst" } } };
  // It does not read x-should-retry: a caller who wants no retries of its own says so.
  const request = { ...ask(connect(service)), providerOptions, maxRetries: 0 };
  const error: unknown = await generateText(request).catch((thrown: unknown) => thrown);
  expect(APICallError.isInstance(error)).toBe(true);
  expect(error).toMatchObject({ statusCode: 502, data: { error: { code: "dispatch.upstream_unavailable" } } });
  expect(service.child().prompts()).toBe(2);
});

test("the AI SDK with a wrong key gives its own error at once", async () => {
  await using service = await startService();
  const provider = connect(service, WRONG_KEY);
  const error: unknown = await generated(provider).catch((thrown: unknown) => thrown);
  const { errors } = await streamed(provider);
  for (const each of [error, ...errors]) {
    expect(RetryError.isInstance(each)).toBe(false);
    expect(APICallError.isInstance(each)).toBe(true);
    expect(each).toMatchObject({ statusCode: 401, isRetryable: false, data: { error: { code: "auth.invalid_key" } } });
  }
  expect(errors.length).toBe(1);
  expect(service.child().prompts()).toBe(0);
});
