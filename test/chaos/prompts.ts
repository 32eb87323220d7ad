// A planned request as bytes, and what the child of each model would answer to it. Pure.
import { answerChat, answerCompletion } from "../lemond/child-answer.ts";
import { chat, completion } from "../lemond/child-replies.ts";
import type { RequestPlan } from "./plan-requests.ts";
import { awayReply } from "./elsewhere.ts";
import { REMOTE, SPEECH } from "./plan.ts";
import { createRandom } from "./random.ts";

export interface Prompt {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Also its name: no two prompts of a campaign are alike. */
  readonly sha256: string;
  readonly isSse: boolean;
  readonly wantsStream: boolean;
  /** The whole reply of a child of that model, or of the remote: each byte one character, without what differs by time. */
  readonly expected: (answeredBy: string) => string;
}

export function promptOf(plan: RequestPlan, seed: number, index: number): Prompt {
  const { reply } = plan;
  const random = createRandom(seed * 1_000_003 + index);
  const wantsStream = reply.kind === "events" || reply.kind === "bytes" || (reply.kind === "generated" && reply.stream);
  const isSse = wantsStream && reply.kind !== "bytes";
  const raw = rawOf(plan, (most) => random.int(0, most));
  const nr = `${seed}/${index}`;
  // What the words follow from; `so` may be one word with the first of the answer.
  const said = `hello ${nr} so`;
  const common = {
    model: plan.slot,
    nr,
    messages: [{ role: "user", content: said }],
    prompt: said,
    input: said,
    ...(wantsStream ? { stream: true } : {}),
    ...(reply.kind === "generated" && reply.usage ? { stream_options: { include_usage: true } } : {}),
    ...(reply.kind === "generated" ? { max_tokens: reply.tokens } : {}),
    ...(plan.padBytes > 0 ? { pad: "p".repeat(plan.padBytes) } : {}),
  };
  const expected = (model: string): string => {
    if (model === REMOTE) return awayReply(nr, wantsStream);
    if (raw !== null) return raw;
    if (reply.kind === "echo") return JSON.stringify({ sha256: prompt.sha256, bytes: prompt.bytes.length });
    const settings = { checkpoint: `/models/${model}.gguf`, type: "llm" } as const;
    const isCompletion = plan.route === "completions";
    const answer = (isCompletion ? answerCompletion : answerChat)({
      model,
      chat: SPEECH[model] ?? {},
      body: common,
      sim: {},
    });
    if ("invalid" in answer) throw new Error(answer.invalid);
    const text = (isCompletion ? completion : chat)({ settings, body: common, answer }).parts.join("");
    return timeless(Buffer.from(text).toString("latin1"));
  };
  const sim = {
    ...(plan.firstByteMs > 0 ? { firstByteMs: plan.firstByteMs } : {}),
    ...(raw === null ? {} : { raw: Buffer.from(raw, "latin1").toString("base64") }),
    ...(reply.kind === "generated" ? { tokenMs: reply.tokenMs } : {}),
    ...(reply.kind === "events" ? { chunkBytes: reply.chunkBytes } : {}),
    ...(reply.kind === "bytes" ? { contentType: "application/octet-stream", chunkBytes: 1000 } : {}),
    ...(reply.kind === "echo" ? { echo: true } : {}),
    ...(plan.endless === null ? {} : { [plan.endless]: true }),
    // The checkpoint's name has one length for all models of a slot.
    ...(plan.cut
      ? { cut: plan.cut.how, cutAfterBytes: Math.floor(plan.cut.at * (raw?.length ?? generatedBytes(plan))) }
      : {}),
  };
  const bytes = new TextEncoder().encode(JSON.stringify({ ...common, sim }));
  const sha256 = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  const prompt = { bytes, sha256, isSse, wantsStream, expected };
  return prompt;
}

/** Ids and times differ from one reply to the next; everything else is compared. */
export function timeless(text: string): string {
  return text.replaceAll(/"id":"chatcmpl-[^"]*"/g, '"id":"chatcmpl-"').replaceAll(/"created":\d+/g, '"created":0');
}

function generatedBytes({ reply }: RequestPlan): number {
  if (reply.kind !== "generated") return 0;
  return reply.stream ? 500 + reply.tokens * 240 : 500 + reply.tokens * 15;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz \u00e4\u00df{}:";

function rawOf({ reply }: RequestPlan, upTo: (most: number) => number): string | null {
  const letters = (length: number): string =>
    Array.from({ length }, () => LETTERS[upTo(LETTERS.length - 1)] ?? "x").join("");
  switch (reply.kind) {
    case "events": {
      const shapes = ["data: ", "data:", "event: x\ndata: ", ": comment\n\ndata: ", "id: 7\nretry: 1\ndata: "];
      let text = "";
      for (let nth = 0; nth < reply.events; nth += 1)
        text += `${shapes[upTo(shapes.length - 1)]}${letters(1 + upTo(reply.eventBytes))}\n\n`;
      // Now and then the last event has no blank line: it must reach the client all the same.
      return upTo(9) === 0 ? text.slice(0, -1) : text;
    }
    case "plain":
      return JSON.stringify({ text: "y".repeat(reply.bytes) });
    case "bytes":
      return letters(reply.bytes);
    case "generated":
    case "echo":
      return null;
  }
}
