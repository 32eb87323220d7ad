// What a child said to a question is remembered only where it stays true. The slot is scripted; no sockets.
import { expect, test } from "bun:test";
import type { Call } from "../../src/dispatch/call.ts";
import { createQuestions, type Questioned } from "../../src/dispatch/questions.ts";
import { DispatchError } from "../../src/http/errors.ts";

/** A slot whose child continues messages, and refuses both flags at once; while `isFull` that question is not sent. */
function scripted() {
  const state = { isFull: true, asked: 0 };
  const send = async ({ path, body }: Call) => {
    const { messages, ...flags } = JSON.parse(new TextDecoder().decode(body ?? new Uint8Array()));
    const hasBoth = flags.add_generation_prompt === true && flags.continue_final_message !== undefined;
    if (hasBoth) {
      state.asked++;
      await Bun.sleep(5);
      if (state.isFull) throw new DispatchError("slot.overloaded", "full");
    }
    const { role, content } = messages.at(-1);
    const prompt = `user: hi assistant: ${role === "assistant" ? content : ""}`;
    const text = JSON.stringify(hasBoth ? { error: { code: 400 } } : { prompt });
    const outcome = { kind: "reply", status: hasBoth ? 400 : 200, headers: new Headers(), body: Buffer.from(text) };
    return { outcome, target: `http://127.0.0.1:1${path}` };
  };
  const slot = { name: "primary", record: { generation: 1 }, send };
  const recorded = { reasoning: "", content: "abc", events: 3, end: "open", id: 1, created: 1, model: "m" } as const;
  const asked = {
    slot,
    kind: "chat",
    body: { messages: [{ role: "user", content: "hi" }] },
    recorded,
    ask: (path: string, fields: unknown) => ({ path, body: Buffer.from(JSON.stringify(fields)) }),
  };
  return { state, asked: asked as unknown as Questioned };
}

test("a question that could not be sent is asked again, by those who waited for it and by those who come later", async () => {
  const { state, asked } = scripted();
  const questions = createQuestions();
  const both = [questions(asked), questions(asked)];
  await Bun.sleep(2);
  for (const end of await Promise.allSettled(both)) expect(end).toMatchObject({ reason: { code: "slot.overloaded" } });
  expect(state.asked).toBe(2);
  state.isFull = false;
  expect(await questions(asked)).toMatchObject({ kind: "fits" });
  expect(await questions(asked)).toMatchObject({ kind: "fits" });
  expect(state.asked).toBe(3);
});
