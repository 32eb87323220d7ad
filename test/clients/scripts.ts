// Replies with a tool call, as a llama-server words them, for the `sim` field of a request. Shapes of both APIs.

/** The `sim` of a request whose reply is these bytes, a few at a time and cut without respect for events or letters. */
const scripted = (text: string, contentType: string) => ({
  sim: { raw: Buffer.from(text).toString("base64"), contentType, chunkBytes: 23, tokenMs: 1 },
});
const json = (value: unknown) => scripted(JSON.stringify(value), "application/json; charset=utf-8");
const sse = (events: readonly string[]) =>
  scripted(events.map((event) => `${event}\n\n`).join(""), "text/event-stream");

export const weatherSchema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
} as const;
export const WEATHER = { city: "Köln" };

const ARGUMENTS = JSON.stringify(WEATHER);
const common = { id: "chatcmpl-1", created: 1_700_000_000, model: "/models/tiny-a.gguf" };
const call = { id: "call_1", type: "function", function: { name: "weather", arguments: ARGUMENTS } };
const usage = { prompt_tokens: 32, completion_tokens: 9, total_tokens: 41 };

export const chatToolCall = json({
  ...common,
  object: "chat.completion",
  usage,
  choices: [
    { index: 0, finish_reason: "tool_calls", message: { role: "assistant", content: null, tool_calls: [call] } },
  ],
});

const chunk = (delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ ...common, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] })}`;
const piece = (text: string): string => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] });

export const chatToolCallStream = sse([
  chunk({ role: "assistant", content: null }),
  chunk({ tool_calls: [{ index: 0, ...call, function: { name: "weather", arguments: "" } }] }),
  piece(ARGUMENTS.slice(0, 6)),
  piece(ARGUMENTS.slice(6)),
  chunk({}, "tool_calls"),
  "data: [DONE]",
]);

const message = { id: "msg_1", type: "message", role: "assistant", model: "/models/tiny-a.gguf", stop_sequence: null };
const block = { type: "tool_use", id: "toolu_1", name: "weather" };

export const messageToolUse = json({
  ...message,
  content: [{ ...block, input: WEATHER }],
  stop_reason: "tool_use",
  usage: { input_tokens: 32, output_tokens: 9 },
});

const named = (event: { readonly type: string; readonly [key: string]: unknown }): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}`;
const inputDelta = (partial_json: string): string =>
  named({ type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json } });

export const messageToolUseStream = sse([
  named({
    type: "message_start",
    message: { ...message, content: [], stop_reason: null, usage: { input_tokens: 32, output_tokens: 0 } },
  }),
  named({ type: "content_block_start", index: 0, content_block: { ...block, input: {} } }),
  inputDelta(ARGUMENTS.slice(0, 6)),
  inputDelta(ARGUMENTS.slice(6)),
  named({ type: "content_block_stop", index: 0 }),
  named({
    type: "message_delta",
    delta: { stop_reason: "tool_use", stop_sequence: null },
    usage: { output_tokens: 9 },
  }),
  named({ type: "message_stop" }),
]);
