// The script for real models, tried on a simulated one: what it says of streams that are right, and of one that is not.
import { expect, test } from "bun:test";
import { asksOf } from "./asks.ts";
import { runRounds } from "./rounds.ts";
import { judge } from "./shape.ts";

const TEXT = "A lemonade stand runs itself until somebody takes the lemons away. Then a good host fetches new ones.";

test("streams cut in the middle go on with the undisturbed text, one by one and all at once", async () => {
  const lines: string[] = [];
  const results = await runRounds({
    lemond: { version: "11.7", models: [{ id: "real", chat: { text: TEXT, tokenMs: 2 } }] },
    model: null,
    cuts: 5,
    seed: 1,
    tokens: 160,
    args: "",
    say: (line) => lines.push(line),
  });
  expect(results.faults).toEqual([]);
  expect({ cut: results.cut, same: results.same }).toEqual({ cut: 10, same: 10 });
  expect(results.continued).toBeGreaterThan(5);
  expect(results.gapsMs.length).toBe(results.continued);
  expect(lines.length).toBe(15);
}, 30_000);

test("what is wrong with a stream is said", () => {
  const [ask] = asksOf(160);
  if (!ask) throw new Error("nothing is asked");
  const event = (fields: object, id = "a"): string => `data: ${JSON.stringify({ id, ...fields })}\n\n`;
  const says = (delta: object, finish_reason: string | null = null) => ({ choices: [{ delta, finish_reason }] });
  const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } };
  const begin = event(says({ role: "assistant" })) + event(says({ content: "one " }));
  const end = event(says({}, "stop")) + event(usage) + "data: [DONE]\n\n";
  const whole = `${begin}${event(says({ content: "two" }))}${end}`;
  expect(judge(whole, whole, ask)).toEqual({ isContinued: false, faults: [], partsAt: null });
  const wrong = `${begin}: continued\n\n${event(says({ role: "assistant", content: "three" }), "b")}${end}${end}`;
  expect(judge(wrong, whole, ask)).toEqual({
    isContinued: true,
    faults: ["roles: 2 for 1", "ids: 2 for 1", "[DONE]: 2 for 1", "reasons to end: 2 for 1", "usages: 2 for 1"],
    partsAt: 5,
  });
  const broken = `${begin}${event({ error: { code: "dispatch.stream_interrupted" } })}`;
  expect(judge(broken, whole, ask).faults.join()).toContain("stream_interrupted");
});
