// What a recording keeps of a stream, and what makes it give up. Tables, no sockets.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createRecording, record, recordedIn, type Kind, MOST_RECORDED_BYTES } from "../../src/dispatch/recording.ts";

const head = { created: 1_795_561_238, id: "chatcmpl-1", model: "/models/tiny.gguf", object: "chat.completion.chunk" };
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const chat = (delta: object, more: object = {}): string =>
  event({ choices: [{ finish_reason: null, index: 0, delta, ...more }], ...head });
const said = (text: string): string => chat({ content: text });
const thought = (text: string): string => chat({ reasoning_content: text });
const role = chat({ role: "assistant", content: null });
const completion = (text: string): string =>
  event({ choices: [{ text, index: 0, logprobs: null, finish_reason: null }], ...head });

function recorded(events: readonly string[], kind: Kind = "chat") {
  const recording = createRecording(kind);
  for (const each of events) record(recording, Buffer.from(each));
  return recordedIn(recording);
}

const finish = chat({}, { finish_reason: "stop" });
const counted = event({ choices: [], ...head, usage: { completion_tokens: 1 } });

describe("a recording knows how far the end has come:", () => {
  test.each<[string, readonly string[], string]>([
    ["not at all", [role, said("a")], "open"],
    ["its reason is there", [role, said("a"), finish], "finished"],
    ["its usage is, too", [role, said("a"), finish, counted], "counted"],
    ["all is there", [role, said("a"), finish, counted, "data: [DONE]\n\n"], "done"],
    ["all is there, and no usage was asked for", [said("a"), finish, "data: [DONE]\n\n"], "done"],
    ["an empty answer's end, too", [role, finish], "finished"],
    ["usage with each event is no end", [said("a"), counted], "open"],
  ])("%s", (_, events, end) => expect(recorded(events)?.end as string).toBe(end));

  test("a completion's reason and usage are one event", () => {
    const choices = [{ text: "", index: 0, logprobs: null, finish_reason: "length" }];
    const last = event({ choices, ...head, usage: { completion_tokens: 1 } });
    expect(recorded([completion("a"), last], "completion")?.end).toBe("counted");
  });
});

describe("a recording has", () => {
  test.each<[string, readonly string[], { reasoning: string; content: string; events: number }]>([
    ["the content", [role, said("Hel"), said("lo")], { reasoning: "", content: "Hello", events: 2 }],
    ["the thought", [role, thought("Hm"), thought(".")], { reasoning: "Hm.", content: "", events: 2 }],
    ["both", [role, thought("Hm\n"), said("Yes")], { reasoning: "Hm\n", content: "Yes", events: 2 }],
    ["text whose answer has no role", [said("😀🍋")], { reasoning: "", content: "😀🍋", events: 1 }],
    ["blank lines in the text", [said("a\n\n"), said("\n\nb")], { reasoning: "", content: "a\n\n\n\nb", events: 2 }],
    ["several events of one chunk", [role + said("a") + said("b")], { reasoning: "", content: "ab", events: 2 }],
    ["text beside comments", [":\n\n", said("a"), ": loading\n\n"], { reasoning: "", content: "a", events: 1 }],
    [
      "text beside timings and progress",
      [event({ ...head, choices: [], prompt_progress: {} }), event({ ...JSON.parse(said("a").slice(5)), timings: {} })],
      { reasoning: "", content: "a", events: 1 },
    ],
  ])("%s", (_, events, expected) => {
    const { id, created, model } = head;
    expect(recorded(events)).toEqual({ ...expected, end: "open", id, created, model });
  });

  test("the text of a completion", () =>
    expect(recorded([completion(" a"), completion(" canvas")], "completion")?.content).toBe(" a canvas"));

  test("the first id, and no later one", () => {
    const later = said("b").replace("chatcmpl-1", "chatcmpl-2");
    expect(recorded([said("a"), later])?.id).toBe("chatcmpl-1");
  });

  test("letters of every length, whatever the size of its memory", () => {
    const text = "aß漢😀".repeat(9000);
    for (const size of [1, 2, 7, 1000]) {
      // By letters: a server never sends half of one.
      const letters = [...text];
      const events = Array.from({ length: Math.ceil(letters.length / size / 9) }, (_, at) =>
        said(letters.slice(at * size, (at + 1) * size).join("")),
      );
      const whole = letters.slice(0, events.length * size).join("");
      expect(recorded(events)?.content === whole).toBe(true);
    }
  });
});

describe("there is no recording of", () => {
  test.each<[string, readonly string[]]>([
    ["an end that did not begin", [said("a"), "data: [DONE]\n\n"]],
    ["text behind the end", [said("a"), chat({}, { finish_reason: "stop" }), said("b")]],
    ["a tool call", [said("a"), chat({ tool_calls: [{ index: 0 }] })]],
    ["what text cannot repeat", [said("a"), chat({ refusal: "no" })]],
    ["a second choice", [said("a"), event({ choices: [{ index: 1, delta: { content: "b" } }], ...head })]],
    ["two choices", [event({ choices: [{ delta: { content: "a" } }, { delta: { content: "b" } }], ...head })]],
    ["log probabilities", [chat({ content: "a" }, { logprobs: { content: [] } })]],
    ["an error", [said("a"), event({ error: { message: "no" } })]],
    ["an event with a name", [said("a"), "event: delta\ndata: {}\n\n"]],
    ["another format", [said("a"), "data: hello\n\n"]],
    ["half an event", [said("a"), 'data: {"choices":[']],
    ["a thought behind the answer", [thought("a"), said("b"), thought("c")]],
    ["half a surrogate pair", [said("a"), said("\ud83d")]],
    ["text that is none", [chat({ content: 7 })]],
  ])("%s", (_, events) => {
    expect(recorded(events)).toBeNull();
    expect(recorded([...events, said("more")])).toBeNull();
  });

  test.each<[string, readonly string[]]>([
    ["nothing", []],
    ["a role alone", [role]],
    ["empty text", [role, said("")]],
  ])("%s, until there is text", (_, events) => {
    expect(recorded(events)).toBeNull();
    expect(recorded([...events, said("more")])?.content).toBe("more");
  });

  test("more than 256 KB", () => {
    const piece = "ß".repeat(512);
    const full = Array.from({ length: MOST_RECORDED_BYTES / 1024 }, () => said(piece));
    expect(recorded(full)?.content.length).toBe(MOST_RECORDED_BYTES / 2);
    expect(recorded([...full, said("x")])).toBeNull();
  });
});

test("a stream of 100,000 tokens costs no more than 256 KB of memory at any time", async () => {
  // In a process of its own: here the collector may find what other tests have left.
  const measured = Bun.spawn([process.execPath, join(import.meta.dir, "../recorded.ts")], { stdout: "pipe" });
  const { kept, letGo } = await measured.stdout.json();
  expect([kept, letGo].map((most: number) => most > 64 * 1024 && most <= 256 * 1024)).toEqual([true, true]);
});

test("a recording costs less than 2 µs a token", () => {
  const token = Buffer.from(said(" canvas"));
  const microsecondsEach = (count: number): number => {
    const recording = createRecording("chat");
    const { user, system } = process.cpuUsage();
    for (let nth = 0; nth < count; nth++) record(recording, token);
    const after = process.cpuUsage({ user, system });
    expect(recordedIn(recording)?.events).toBe(count);
    return (after.user + after.system) / count;
  };
  microsecondsEach(20_000);
  // The best of many: whatever else the machine does slows some of them down.
  expect(Math.min(...Array.from({ length: 30 }, () => microsecondsEach(2000)))).toBeLessThan(2);
});
