// A chat that is cut at any byte: its client gets the undisturbed stream, by the judge of the fault campaign, or nothing of it.
import { describe, expect, test } from "bun:test";
import { continuedFault, hasText } from "../chaos/continued.ts";
import { SPEECH } from "../chaos/plan.ts";
import { promptOf } from "../chaos/prompts.ts";
import { interruptionIn, withoutComments } from "../chaos/sse-text.ts";
import { startStack } from "../stack.ts";

const CHAT = "chat/completions";
const MOST_TOKENS = 10;
const [FIRST_PLACE, PLACE_BYTES] = [220, 110];

describe.each(["chat-a", "chat-b"])("%s", (model) => {
  test.each([
    ["with", true],
    ["without", false],
  ])(
    "goes on wherever it is cut, %s its usage",
    async (_, usage) => {
      await using stack = await startStack({
        lemond: { models: [{ id: model, chat: SPEECH[model] ?? {} }] },
        slots: [{ name: "chat", model, isDefault: true }],
      });
      let seams = 0;
      for (let tokens = 1; tokens <= MOST_TOKENS; tokens++) {
        const reply = { kind: "generated", stream: true, tokens, tokenMs: 1, usage } as const;
        const request = { slot: "chat", route: CHAT, reply, padBytes: 0, firstByteMs: 0, keepAlive: false } as const;
        const prompt = promptOf({ ...request, cut: null, endless: null, leave: null }, 1, tokens);
        const asked = JSON.parse(new TextDecoder().decode(prompt.bytes)) as object;
        const whole = prompt.expected(model);
        for (let at = FIRST_PLACE; at < whole.length; at += PLACE_BYTES) {
          const sim = { tokenMs: 1, cutAfterBytes: at, cutsOnce: true };
          const response = await stack.post(`/v1/${CHAT}`, { ...asked, sim });
          const text = withoutComments(Buffer.from(await response.arrayBuffer()).toString("latin1"));
          // Before the first event it was sent twice, and both replies were cut.
          if (response.status === 502) continue;
          const broken = interruptionIn(text, CHAT);
          if (broken === null) seams++;
          const fault = broken === null ? continuedFault(text, whole) : hasText(broken.before);
          expect({ tokens, at, fault }).toEqual({ tokens, at, fault: broken === null ? null : false });
        }
      }
      expect(seams).toBeGreaterThan(30);
    },
    60_000,
  );
});
