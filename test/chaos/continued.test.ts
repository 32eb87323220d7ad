// The judge of the fault campaign: what a stream that went on may differ in from the undisturbed one.
import { expect, test } from "bun:test";
import { continuedFault } from "./continued.ts";

const common = { created: 1, id: "a", model: "m" };
const event = (value: object): string => `data: ${JSON.stringify({ ...common, choices: [], ...value })}\n\n`;
const choice = (delta: object, finish_reason: string | null = null) => event({ choices: [{ finish_reason, delta }] });
const usage = (tokens: number, prompt_tokens = 17): string =>
  event({ usage: { prompt_tokens, completion_tokens: tokens, total_tokens: prompt_tokens + tokens } });
const latin1 = (text: string): string => Buffer.from(text).toString("latin1");
const role = choice({ role: "assistant" });
const [DONE, limit] = ["data: [DONE]\n\n", choice({}, "length")];

const thinksAlone =
  role + choice({ reasoning_content: " Well" }) + choice({ reasoning_content: "\n" }) + choice({}, "stop");
const thinks = role + choice({ reasoning_content: " Well" }) + choice({ reasoning_content: "\n" }) + limit;
const speaks = role + latin1(choice({ content: " blue" })) + limit;

test.each<[string, string, string, string | null]>([
  ["the same", thinks + usage(7) + DONE, thinks + usage(7) + DONE, null],
  ["counted without the end of a thought that nobody saw", thinks + usage(4) + DONE, thinks + usage(7) + DONE, null],
  [
    "counted without that of an answer that is empty",
    thinksAlone + usage(4) + DONE,
    thinksAlone + usage(7) + DONE,
    null,
  ],
  ["counted without the half of a character", speaks + usage(1) + DONE, speaks + usage(2) + DONE, null],
  ["counted too low", thinks + usage(3) + DONE, thinks + usage(7) + DONE, "usage: [17,3,20] for [17,7,24]"],
  ["counted too high", thinks + usage(8) + DONE, thinks + usage(7) + DONE, "usage: [17,8,25] for [17,7,24]"],
  ["with another prompt", thinks + usage(4, 9) + DONE, thinks + usage(7) + DONE, "usage: [9,4,13] for [17,7,24]"],
  ["not counted", thinks + DONE, thinks + usage(7) + DONE, "usage: null for [17,7,24]"],
  ["longer", role + choice({ content: " sky" }) + speaks + usage(2) + DONE, speaks + usage(2) + DONE, "roles: 2 for 1"],
  ["with more text", choice({ content: " sky" }) + speaks + DONE, speaks + DONE, 'content: " sky blue" for " blue"'],
])("a continued stream that is %s", (_, text, whole, fault) => {
  expect(continuedFault(text, whole)).toBe(fault);
});
