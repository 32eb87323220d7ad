// What the continuation of 64 streams costs that one death cut: from the death to the last byte, less lemond's load and the rest
// of the longest answer. The child is as cheap as one can be, and speaks at a steady pace.
import { join } from "node:path";
import { startBinary, type Binary } from "../binary.ts";
import { startLemond } from "../lemond/index.ts";
import { median } from "./report.ts";

export interface Continued {
  readonly totalMs: number;
  readonly loadMs: number;
  readonly restMs: number;
  /** Of the last stream to end. */
  readonly addedMs: number;
}

const STREAMS = 64;
const ROUNDS = 5;
/** The speaker's. */
const TOKEN_MS = 30;
const CUT_AFTER = 10;
const WORD = '"content":"';

/** Medians of the rounds. Throws where a stream does not come whole. */
export async function measureContinued(): Promise<Continued> {
  const llamaServer = [process.execPath, "--no-orphans", join(import.meta.dir, "speaker.ts")];
  await using lemond = await startLemond({ loadMs: 300, llamaServer, models: [{ id: "tiny-a" }] });
  await lemond.load("tiny-a");
  await using server = await startBinary({ args: ["--port", "0", "--lemonade", lemond.url] });
  const results: Continued[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await lemond.unload("tiny-a");
    const began = performance.now();
    await lemond.load("tiny-a");
    const loadMs = performance.now() - began;
    let diedMs = Infinity;
    let begun = 0;
    const rests = await Promise.all(
      Array.from({ length: STREAMS }, () =>
        stream(server, (events) => {
          if (events === CUT_AFTER && ++begun === STREAMS) {
            diedMs = performance.now();
            void lemond.child("tiny-a")?.kill();
          }
          return diedMs;
        }),
      ),
    );
    const totalMs = Math.max(...rests.map(({ endMs }) => endMs)) - diedMs;
    const restMs = Math.max(...rests.map(({ eventsLeft }) => eventsLeft)) * TOKEN_MS;
    results.push({ totalMs, loadMs, restMs, addedMs: totalMs - loadMs - restMs });
  }
  const of = (figure: keyof Continued): number => median(results.map((result) => result[figure]));
  return { totalMs: of("totalMs"), loadMs: of("loadMs"), restMs: of("restMs"), addedMs: of("addedMs") };
}

/** One stream. `onEvent` hears how many events with text have come, and says when the child died. */
async function stream(
  { url }: Binary,
  onEvent: (events: number) => number,
): Promise<{ readonly endMs: number; readonly eventsLeft: number }> {
  const messages = [{ role: "user", content: "Count." }];
  const body = JSON.stringify({ model: "tiny-a", stream: true, messages, max_tokens: 40 });
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body });
  let text = "";
  let counted = 0;
  let events = 0;
  let eventsLeft = 0;
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    for (let at = text.indexOf(WORD, counted); at >= 0; at = text.indexOf(WORD, counted)) {
      counted = at + WORD.length;
      if (performance.now() > onEvent(++events)) eventsLeft++;
    }
  }
  if (!text.endsWith("data: [DONE]\n\n") || !text.includes(": continued"))
    throw new Error("a stream was not continued");
  return { endMs: performance.now(), eventsLeft };
}
