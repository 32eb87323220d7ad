// Prints what the recording of one stream of 100,000 tokens takes of the heap at its highest, in bytes: `kept` to its end, and `letGo`
// on the way because it has too much text.
import { heapStats } from "bun:jsc";
import { createRecording, record } from "../src/dispatch/recording.ts";

const TOKENS = 100_000;
/** Side by side: what the heap has beside them is divided by so many. */
const STREAMS = 4;

const heapBytes = (): number => {
  Bun.gc(true);
  return heapStats().heapSize;
};

function mostBytes(token: string): number {
  const head = { created: 1_795_561_238, id: "chatcmpl-2546b450239345ecbce414779b0864d8", model: "/models/tiny.gguf" };
  const choices = [{ finish_reason: null, index: 0, delta: { content: token } }];
  const event = Buffer.from(`data: ${JSON.stringify({ choices, ...head, object: "chat.completion.chunk" })}\n\n`);
  const recordings = Array.from({ length: STREAMS }, () => createRecording("chat"));
  const before = heapBytes();
  let most = 0;
  for (let nth = 0; nth < TOKENS; nth++) {
    // Each event is an array of its own, as it comes from a socket.
    for (const recording of recordings) record(recording, new Uint8Array(event));
    if (nth % 999 === 0) most = Math.max(most, heapBytes() - before);
  }
  return most / STREAMS;
}

mostBytes("a"); // What the first run compiles is nobody's recording.
process.stdout.write(JSON.stringify({ kept: mostBytes("a"), letGo: mostBytes("😀") }));
