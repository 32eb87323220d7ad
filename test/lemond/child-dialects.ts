// A llama-server's OpenAI Responses and Anthropic Messages replies. Their streams are not among the recordings: the shapes
// are those the official SDKs parse.
import type { Body } from "./child-sim.ts";
import { event, events, json, newId, seconds, textOf, usage, type Generation, type Reply } from "./child-replies.ts";

const named = (value: { readonly type: string; readonly [key: string]: unknown }): string =>
  `event: ${value.type}\n${event(value)}`;

export function responses({ settings, body, answer }: Generation): Reply {
  const { tokens } = answer;
  const id = newId("resp_");
  const itemId = newId("msg_");
  const text = textOf(answer);
  const created = seconds();
  const part = (content: string) => ({ annotations: [], logprobs: [], text: content, type: "output_text" });
  const item = (status: string, content: readonly unknown[]) => ({
    content,
    id: itemId,
    role: "assistant",
    status,
    type: "message",
  });
  const counted = usage(answer);
  const whole = {
    completed_at: created,
    created_at: created,
    id,
    model: settings.checkpoint,
    object: "response",
    output: [item("completed", [part(text)])],
    status: "completed",
    usage: {
      input_tokens: counted.prompt_tokens,
      output_tokens: tokens,
      total_tokens: counted.total_tokens,
      input_tokens_details: counted.prompt_tokens_details,
    },
  };
  if (body["stream"] !== true) return json(200, whole);
  const begun = { ...whole, completed_at: null, output: [], status: "in_progress", usage: null };
  let sequence = 0;
  const step = (type: string, more: object): string => named({ type, sequence_number: sequence++, ...more });
  const at = { item_id: itemId, output_index: 0, content_index: 0 };
  const parts = [
    step("response.created", { response: begun }) +
      step("response.in_progress", { response: begun }) +
      step("response.output_item.added", { output_index: 0, item: item("in_progress", []) }) +
      step("response.content_part.added", { ...at, part: part("") }),
  ];
  for (const { kind, text: delta } of answer.pieces) {
    if (kind === "content") parts.push(step("response.output_text.delta", { ...at, delta, logprobs: [] }));
  }
  parts.push(
    step("response.output_text.done", { ...at, text, logprobs: [] }) +
      step("response.content_part.done", { ...at, part: part(text) }) +
      step("response.output_item.done", { output_index: 0, item: item("completed", [part(text)]) }),
    step("response.completed", { response: whole }),
  );
  return events(parts);
}

export function messages({ settings, body, answer }: Generation): Reply {
  const { tokens } = answer;
  const contents = answer.pieces.filter(({ kind }) => kind === "content");
  const text = textOf(answer);
  const whole = {
    id: newId("msg_"),
    type: "message",
    role: "assistant",
    content: [{ type: "text", text }],
    model: settings.checkpoint,
    stop_reason: "max_tokens",
    stop_sequence: null,
    usage: { cache_read_input_tokens: 0, input_tokens: usage(answer).prompt_tokens, output_tokens: tokens },
  };
  if (body["stream"] !== true) return json(200, whole);
  const begun = { ...whole, content: [], stop_reason: null, usage: { ...whole.usage, output_tokens: 0 } };
  const parts = [
    named({ type: "message_start", message: begun }) +
      named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  ];
  for (const { text: said } of contents) {
    const delta = { type: "text_delta", text: said };
    parts.push(named({ type: "content_block_delta", index: 0, delta }));
  }
  parts.push(
    named({ type: "content_block_stop", index: 0 }) +
      named({
        type: "message_delta",
        delta: { stop_reason: "max_tokens", stop_sequence: null },
        usage: { output_tokens: tokens },
      }),
    named({ type: "message_stop" }),
  );
  return events(parts);
}

export const countTokens = (body: Body): Reply =>
  json(200, { input_tokens: Math.max(1, Math.ceil(JSON.stringify(body["messages"] ?? "").length / 4)) });
