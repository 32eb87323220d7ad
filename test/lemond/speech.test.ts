// How a simulated model speaks: continued at any place it says what it would have said, and it errs as real ones do.
import { describe, expect, test } from "bun:test";
import { startLemond, type ChatSettings, type Child } from "./index.ts";
import { ask, promptOf, stream, type Streamed } from "./speech-steps.ts";

const messages = [{ role: "user", content: "Name three colours." }];
const continuing = { add_generation_prompt: false };

async function withChild(chat: ChatSettings, use: (child: Child) => Promise<void>): Promise<void> {
  await using lemond = await startLemond({ models: [{ id: "m", chat }] });
  await lemond.load("m");
  const child = lemond.child("m");
  if (child === undefined) throw new Error("no child");
  await use(child);
}

/** The body of a continuation behind so many events of an answer. */
function after(whole: Streamed, events: number): object {
  const reasoning = whole.reasoning.slice(0, events).join("");
  const content = whole.content.slice(0, Math.max(0, events - whole.reasoning.length)).join("");
  const last = { role: "assistant", content, ...(reasoning === "" ? {} : { reasoning_content: reasoning }) };
  const kind = content === "" ? "reasoning_content" : "content";
  // Qwen3 sends the newline before the end of a thought, and its template writes it again.
  const trimmed = content === "" ? last : { ...last, reasoning_content: reasoning.replace(/\n$/, "") };
  return { messages: [...messages, trimmed], continue_final_message: kind, ...continuing };
}

describe("a continued answer", () => {
  for (const chat of [
    { says: "words" },
    { says: "counted" },
    { text: "Rot, grün 😀🍋 und\n\nblau. Das war es." },
    { says: "words", template: "qwen3" },
    { template: "qwen3" },
    { template: "qwen3", reasoning: "They want colours.", text: "Rot 🍋 und blau." },
    { says: "words", template: "r1" },
  ] as const satisfies readonly ChatSettings[]) {
    test(`equals the undisturbed one at every place: ${JSON.stringify(chat)}`, async () => {
      await withChild(chat, async (child) => {
        const whole = await stream(child, { messages, max_tokens: 40 });
        const events = whole.reasoning.length + whole.content.length;
        expect(events).toBeGreaterThan(6);
        for (let cut = 1; cut < events; cut += 1) {
          const rest = await stream(child, { ...after(whole, cut), max_tokens: 80 });
          const both = [...whole.reasoning, ...whole.content].slice(0, cut).concat(rest.reasoning, rest.content);
          expect(both.join("").startsWith([...whole.reasoning, ...whole.content].join(""))).toBe(true);
          expect(rest.content.join("")).not.toContain("think>");
        }
      });
    });
  }

  test("in a completion goes on behind prompt and text", async () => {
    for (const chat of [{ says: "words" }, { says: "counted" }, { text: "Rot, grün 😀 und blau." }] as const) {
      await withChild(chat, async (child) => {
        const path = "/v1/completions";
        const whole = await stream(child, { prompt: "Colours:", max_tokens: 12 }, path);
        for (let cut = 1; cut < whole.content.length; cut += 1) {
          const prompt = `Colours:${whole.content.slice(0, cut).join("")}`;
          const rest = await stream(child, { prompt, max_tokens: 12 - cut }, path);
          expect(whole.content.slice(0, cut).concat(rest.content).join("")).toContain(
            whole.content.join("").slice(0, -1),
          );
        }
      });
    }
  });

  test("is another one where the prompt is not to the letter what it was", async () => {
    await withChild({ says: "words" }, async (child) => {
      const whole = await stream(child, { messages, max_tokens: 20 });
      const said = whole.content.slice(0, 8).join("");
      const spoiled = {
        messages: [...messages, { role: "assistant", content: `${said} ` }],
        continue_final_message: true,
      };
      const rest = await stream(child, { ...spoiled, ...continuing, max_tokens: 12 });
      expect(rest.content.join("")).not.toBe(whole.content.slice(8).join(""));
    });
  });

  test("counts its prompt with what was said before, and its own tokens", async () => {
    await withChild({ says: "words" }, async (child) => {
      const whole = await stream(child, { messages, max_tokens: 20 });
      const said = { role: "assistant", content: whole.content.slice(0, 8).join("") };
      const { tokens } = (await (await ask(child, "/tokenize", { content: said.content })).json()) as {
        tokens: unknown[];
      };
      const rest = await stream(child, {
        messages: [...messages, said],
        continue_final_message: true,
        ...continuing,
        max_tokens: 5,
      });
      expect(whole.usage?.completion_tokens).toBe(20);
      expect(rest.usage?.completion_tokens).toBe(5);
      expect(rest.usage?.prompt_tokens).toBe((whole.usage?.prompt_tokens ?? 0) + tokens.length);
    });
  });

  test("of a scripted number of words has what is left of them", async () => {
    await withChild({}, async (child) => {
      const sim = { tokens: 6 };
      const said = { role: "assistant", content: "m token 1 m token 2 " };
      const rest = await stream(child, {
        messages: [...messages, said],
        continue_final_message: "content",
        ...continuing,
        sim,
      });
      expect(rest.content).toEqual(["m token 3 ", "m token 4 ", "m token 5 ", "m token 6 "]);
    });
  });
});

describe("without being asked to continue", () => {
  const said = { role: "assistant", content: "m token 1 m token 2 " };

  test("a last assistant message is continued, and the stream repeats it first", async () => {
    for (const build of ["current", "older"] as const) {
      await withChild({ build }, async (child) => {
        const seen = await stream(child, { messages: [...messages, said], max_tokens: 2 });
        expect(seen.content).toEqual(["m token 1 m token 2 m token 3 ", "m token 4 "]);
      });
    }
  });

  test("an older build pays no heed to the flags, and refuses where thinking is on", async () => {
    const asked = { messages: [...messages, said], continue_final_message: "content", max_tokens: 1 };
    await withChild({ build: "older" }, async (child) => {
      expect((await ask(child, "/apply-template", asked)).status).toBe(200);
      const seen = await stream(child, { ...asked, ...continuing });
      expect(seen.content).toEqual(["m token 1 m token 2 m token 3 "]);
    });
    await withChild({ build: "older", template: "qwen3" }, async (child) => {
      const refused = await ask(child, "/v1/chat/completions", { ...asked, ...continuing, stream: true });
      expect([refused.status, refused.headers.get("content-type")]).toEqual([400, "application/json; charset=utf-8"]);
      expect(await refused.text()).toContain("Assistant response prefill is incompatible with enable_thinking.");
      const off = { ...asked, ...continuing, chat_template_kwargs: { enable_thinking: false } };
      expect((await ask(child, "/apply-template", off)).status).toBe(200);
    });
  });
});

describe("templates", () => {
  const asked = (content: string, more: object = {}) => ({
    messages: [...messages, { role: "assistant", content, ...more }],
    continue_final_message: "content",
    ...continuing,
  });

  test("of Phi-3.5 come back damaged: with the end of all and half a tag before the text", async () => {
    await withChild({ template: "phi-3.5", says: "words" }, async (child) => {
      expect(await promptOf(child, { messages })).toEndWith("<|end|>\n<|assistant|>\n");
      expect(await promptOf(child, asked(" river"))).toEndWith("<|end|>\n</s>|assistant|>\n river");
    });
  });

  test("that trim, or close the message, end otherwise than with the text", async () => {
    await withChild({ template: "trims" }, async (child) => {
      expect(await promptOf(child, asked("m token 1 "))).toEndWith("m token 1");
    });
    await withChild({ template: "closes" }, async (child) => {
      expect(await promptOf(child, asked("m token 1 "))).toEndWith("m token 1 <|im_end|>\n");
    });
  });

  test("that think open a thought again before a text that has one in it", async () => {
    await withChild({ template: "qwen3", reasoning: "Hm.", text: "Red." }, async (child) => {
      const inline = await stream(child, { messages, reasoning_format: "none" });
      expect(inline.reasoning).toEqual([]);
      expect(inline.content.join("")).toBe("<think>\nHm.\n</think>\n\nRed.");
      expect(await promptOf(child, asked("<think>\nHm"))).toEndWith("<think>\n\n</think>\n\n<think>\nHm");
      expect(await promptOf(child, asked("Re", { reasoning_content: "Hm.\n" }))).toEndWith(
        "<think>\nHm.\n\n</think>\n\nRe",
      );
    });
  });

  test("that think send a newline at the end of the thought, and none where thinking is off", async () => {
    await withChild({ template: "qwen3", reasoning: "Hm.", text: "Red." }, async (child) => {
      const seen = await stream(child, { messages });
      expect([seen.reasoning.join(""), seen.content.join(""), seen.roles]).toEqual(["Hm.\n", "Red.", 1]);
      const off = await stream(child, { messages, chat_template_kwargs: { enable_thinking: false } });
      expect([off.reasoning, off.content.join("")]).toEqual([[], "Red."]);
      const plain = (await (await ask(child, "/v1/chat/completions", { messages })).json()) as {
        choices: readonly unknown[];
      };
      expect(plain.choices).toEqual([
        {
          finish_reason: "stop",
          index: 0,
          message: { role: "assistant", content: "Red.", reasoning_content: "Hm.\n" },
        },
      ]);
    });
  });
});

describe("tokens", () => {
  test("that are half a character say nothing yet; an answer that begins with one has no role event", async () => {
    await withChild({ text: "😀 yes" }, async (child) => {
      const seen = await stream(child, { messages });
      expect([seen.content, seen.roles, seen.usage?.completion_tokens]).toEqual([["😀", " yes"], 0, 3]);
      const half = await stream(child, { messages, max_tokens: 1 });
      expect([half.content, half.roles, half.finish, half.usage?.completion_tokens]).toEqual([[], 0, "length", 1]);
      const pieces = (await (await ask(child, "/tokenize", { content: "😀", with_pieces: true })).json()) as object;
      expect(pieces).toMatchObject({ tokens: [{ piece: [0xf0, 0x9f] }, { piece: [0x98, 0x80] }] });
    });
  });

  test("are one where none were asked for", async () => {
    await withChild({}, async (child) => {
      for (const limit of [{ max_tokens: 0 }, { max_completion_tokens: 0 }, { n_predict: 0 }])
        expect((await stream(child, { messages, ...limit })).content).toEqual(["m token 1 "]);
    });
  });

  test("end at a stop sequence, and what may begin one waits", async () => {
    await withChild({ text: "one two three four" }, async (child) => {
      const cut = await stream(child, { messages, stop: ["o three"] });
      expect([cut.content, cut.finish]).toEqual([["one", " tw"], "stop"]);
      const held = await stream(child, { messages, stop: " threex" });
      expect([held.content, held.finish]).toEqual([["one", " two", " three four"], "stop"]);
    });
  });
});
