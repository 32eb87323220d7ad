// Which requests can be gone on with, field by field, and what the new child is then asked. Tables.
import { describe, expect, test } from "bun:test";
import { continuedBody, objectionTo, tokensLeft, wantsUsage } from "../../src/dispatch/eligible.ts";

const user = { role: "user", content: "hello" };
const chat = { model: "primary", stream: true, messages: [user] };
const completion = { model: "primary", stream: true, prompt: "The sky is" };

describe("a chat", () => {
  test.each<[string, object]>([
    ["as it is", {}],
    ["with n = 1", { n: 1 }],
    ["with log probabilities switched off", { logprobs: false, n_probs: 0 }],
    ["that wants text", { response_format: { type: "text" } }],
    ["with tools that may be used", { tools: [{}], tool_choice: "auto" }],
    ["with tools that may not", { tool_choice: "none" }],
    ["whose thoughts are split off", { reasoning_format: "deepseek" }],
    ["with null everywhere", { n: null, tool_choice: null, grammar: null, json_schema: null, response_format: null }],
    ["with stop sequences, sampling and a limit", { stop: ["x"], temperature: 0, seed: 7, max_tokens: 9 }],
    [
      "behind a tool's result",
      { messages: [user, { role: "assistant", tool_calls: [] }, { role: "tool", content: "" }] },
    ],
  ])("%s goes on", (_, more) => expect(objectionTo({ ...chat, ...more }, "chat")).toBeNull());

  test.each<[string, object]>([
    ["n", { n: 2 }],
    ["logprobs", { logprobs: true }],
    ["n_probs", { n_probs: 5 }],
    ["response_format", { response_format: { type: "json_object" } }],
    ["response_format", { response_format: "text" }],
    ["grammar", { grammar: "root ::= x" }],
    ["json_schema", { json_schema: {} }],
    ["tool_choice", { tool_choice: "required" }],
    ["tool_choice", { tool_choice: { type: "function", function: { name: "f" } } }],
    ["reasoning_format", { reasoning_format: "none" }],
    ["reasoning_format", { reasoning_format: "deepseek-legacy" }],
    ["continue_final_message", { continue_final_message: false }],
    ["add_generation_prompt", { add_generation_prompt: true }],
    ["echo", { echo: true }],
    ["messages", { messages: [user, { role: "assistant", content: "Hi" }] }],
    ["messages", { messages: [] }],
    ["messages", { messages: "hello" }],
  ])("with its own %s does not", (field, more) => expect(objectionTo({ ...chat, ...more }, "chat")).toBe(field));
});

describe("a completion", () => {
  test("goes on where its prompt is one text", () => expect(objectionTo(completion, "completion")).toBeNull());

  test.each<[string, object]>([
    ["prompt", { prompt: ["a", "b"] }],
    ["prompt", { prompt: [1, 2] }],
    ["echo", { echo: true }],
    ["suffix", { suffix: "." }],
    ["best_of", { best_of: 3 }],
    ["n", { n: 2 }],
    ["logprobs", { logprobs: 3 }],
    ["grammar", { grammar: "root ::= x" }],
  ])("with its own %s does not", (field, more) =>
    expect(objectionTo({ ...completion, ...more }, "completion")).toBe(field),
  );
});

const recorded = { events: 2, end: "open", id: "", created: 0, model: "", reasoning: "", content: "Red" } as const;

describe("the new child is asked", () => {
  test("for the rest of an answer", () =>
    expect(continuedBody({ ...chat, max_tokens: 40, temperature: 0 }, "chat", recorded, 4)).toEqual({
      ...chat,
      temperature: 0,
      max_tokens: 36,
      messages: [user, { role: "assistant", content: "Red" }],
      continue_final_message: "content",
      add_generation_prompt: false,
    }));

  test("for the rest of an answer behind its thought, and for that of a thought", () => {
    const thinking = { ...recorded, reasoning: "Hm." };
    expect(continuedBody(chat, "chat", thinking, 0)).toMatchObject({
      messages: [user, { role: "assistant", content: "Red", reasoning_content: "Hm." }],
      continue_final_message: "content",
    });
    expect(continuedBody(chat, "chat", { ...thinking, content: "" }, 0)).toMatchObject({
      messages: [user, { role: "assistant", content: "", reasoning_content: "Hm." }],
      continue_final_message: "reasoning_content",
    });
  });

  test("for the rest of a completion", () =>
    expect(continuedBody({ ...completion, n_predict: 9 }, "completion", recorded, 2)).toEqual({
      ...completion,
      prompt: "The sky isRed",
      n_predict: 7,
    }));

  test("for as many tokens as before where the client set no limit", () => {
    for (const none of [{}, { max_tokens: -1 }, { max_tokens: 0 }, { max_tokens: null }])
      expect(continuedBody({ ...completion, ...none }, "completion", recorded, 2)).toMatchObject(none);
  });
});

test.each<[object, number | null]>([
  [{}, null],
  [{ max_tokens: -1 }, null],
  [{ max_tokens: 10 }, 7],
  [{ max_completion_tokens: 3 }, 0],
  [{ n_predict: 2 }, -1],
  [{ max_tokens: 10, n_predict: 5 }, 2],
])("of %p, behind 3 tokens, %p are left", (body, left) => expect(tokensLeft({ ...chat, ...body }, 3)).toBe(left));

test("usage is wanted where the client says so", () => {
  expect(wantsUsage({ stream_options: { include_usage: true } })).toBe(true);
  for (const none of [{}, { stream_options: null }, { stream_options: { include_usage: false } }])
    expect(wantsUsage(none)).toBe(false);
});
