// `bun run demo`: a simulated Lemonade, the server in front of it, and a chat whose model is killed in the middle.
// Stays up with lines to try until Ctrl-C; `--once` ends by itself, with exit code 1 where an answer was not whole.
import { startLemond } from "./lemond/index.ts";
import { startProgram } from "./demo/program.ts";

const MODEL = "demo-model";
const TEXT =
  "A lemonade stand runs itself until somebody takes the lemons away. Then a good host fetches new ones, pours on where the glass was left, and nobody at the table looks up.";
const TOKEN_MS = 60;

const isOnce = process.argv.includes("--once");
const say = (text = ""): void => void process.stdout.write(`${text}\n`);

await using lemond = await startLemond({
  version: "11.7",
  models: [{ id: MODEL, chat: { text: TEXT } }],
  loadMs: 900,
});
await lemond.load(MODEL);
await using server = await startProgram(lemond.url);
const { url } = server;

say(`The page: ${url}/`);
say(`A simulated Lemonade 11.7 runs at ${lemond.url}, hal0-dispatch in front of it.`);

/** Streams one chat to the terminal; `onWord` is called with how many pieces of text have come. */
async function chat(
  onPiece: (pieces: number) => void,
): Promise<{ text: string; tookMs: number; longestGapMs: number }> {
  const began = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: MODEL,
      stream: true,
      messages: [{ role: "user", content: "What is a lemonade stand?" }],
      sim: { tokenMs: TOKEN_MS },
    }),
  });
  let text = "";
  let pieces = 0;
  let lastMs = performance.now();
  let longestGapMs = 0;
  let rest = "";
  process.stdout.write("   ");
  for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const piece = contentOf(line);
      if (piece === "") continue;
      longestGapMs = Math.max(longestGapMs, performance.now() - lastMs);
      lastMs = performance.now();
      text += piece;
      process.stdout.write(piece);
      onPiece(++pieces);
    }
  }
  say();
  return { text, tookMs: Math.round(performance.now() - began), longestGapMs: Math.round(longestGapMs) };
}

function contentOf(line: string): string {
  if (!line.startsWith("data: {")) return "";
  const event = JSON.parse(line.slice("data: ".length)) as { choices?: { delta?: { content?: string | null } }[] };
  return event.choices?.[0]?.delta?.content ?? "";
}

say();
say("1. A chat, streamed:");
const first = await chat(() => {});
say(`   Whole, in ${first.tookMs} ms.`);

const dead = lemond.child(MODEL);
say();
say("2. The same chat. After ten words the model's process is ended with kill -9:");
const second = await chat((pieces) => {
  if (pieces !== 10) return;
  process.stdout.write(`⟨kill -9 ${dead?.pid}⟩ `);
  void dead?.kill();
});
const alive = lemond.child(MODEL);
say(
  `   The client saw one answer, with a pause of ${second.longestGapMs} ms; the model is back on port ${alive?.port} (it was ${dead?.port}).`,
);
const isWhole = first.text === TEXT && second.text === TEXT;
say(isWhole ? "   Not a character is missing, and none came twice." : "   THE ANSWER IS NOT WHOLE.");

say();
say("What the log says of it:");
for (const line of await server.lines("dispatch.stream_continued")) say(`   ${line}`);

if (isOnce) process.exitCode = isWhole ? 0 : 1;
else {
  say();
  say("Try it yourself; Ctrl-C ends everything:");
  say(
    `   curl -N ${url}/v1/chat/completions -d '{"model":"${MODEL}","stream":true,"messages":[{"role":"user","content":"Hello"}],"sim":{"tokenMs":${TOKEN_MS}}}'`,
  );
  say(`   kill -9 ${alive?.pid}      # while it runs`);
  say(`   curl ${url}/api/slots`);
  await new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
}
