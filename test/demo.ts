// `bun run demo`: a simulated Lemonade, the server in front of it, a chat, a killed child, the same chat again.
// Stays up with the lines to try until Ctrl-C; `--once` ends by itself.
import { startLemond } from "./lemond/index.ts";

const isOnce = process.argv.includes("--once");
const bun = process.execPath;
const say = (text = ""): void => void process.stdout.write(`${text}\n`);

await using lemond = await startLemond({ version: "11.7", loadMs: 400, unloadMs: 200 });
await lemond.load("tiny-a");
const server = Bun.spawn([bun, "src/main.ts", "--config", "/dev/null", "--port", "0", "--lemonade", lemond.url], {
  env: { ...process.env, HAL0_DISPATCH_API_KEYS: "" },
  stdout: "pipe",
  stderr: "inherit",
});

const events: Record<string, unknown>[] = [];
const started = Promise.withResolvers<string>();
const reading = (async () => {
  let rest = "";
  for await (const chunk of server.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(line) as Record<string, unknown>;
      events.push(event);
      if (event["event"] === "server.started") started.resolve(String(event["url"]));
    }
  }
  started.reject(new Error("the server ended before it listened"));
})();
const url = await started.promise;

/** One streamed chat; returns the whole text, the header that tells of a repair, and how long it took. */
async function chat(): Promise<{ status: number; text: string; repair: string | null; tookMs: number }> {
  const began = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tiny-a",
      stream: true,
      max_tokens: 6,
      messages: [{ role: "user", content: "Hello" }],
    }),
  });
  let text = "";
  for (const line of (await response.text()).split("\n")) {
    if (!line.startsWith("data: {")) continue;
    const event = JSON.parse(line.slice(6)) as { choices?: { delta?: { content?: string | null } }[] };
    text += event.choices?.[0]?.delta?.content ?? "";
  }
  const tookMs = Math.round(performance.now() - began);
  return { status: response.status, text: text.trim(), repair: response.headers.get("x-hal0-repair"), tookMs };
}

let isGood = true;
const show = async (title: string, wantsRepair: boolean): Promise<void> => {
  const { status, text, repair, tookMs } = await chat();
  isGood &&= status === 200 && text !== "" && (repair !== null) === wantsRepair;
  say(`${title}: ${status} in ${tookMs} ms${repair ? `, repair: ${repair}` : ""}`);
  say(`    ${text}`);
};

say(`Lemonade (simulated, ${lemond.version}) at ${lemond.url}; hal0-dispatch at ${url}`);
say();
await show("1. A chat, streamed", false);
const child = lemond.child("tiny-a");
say(`2. kill -9 ${child?.pid}, the child on port ${child?.port}`);
await child?.kill();
await show("3. The same chat again", true);
say(
  `   The model is back on port ${lemond.child("tiny-a")?.port}; lemond got ${lemond.loads("tiny-a") - 1} load for it.`,
);
say();
say("What the log says of it:");
for (const { ts: _, level: __, ...event } of events.filter(({ level }) => level === "warn" || level === "info"))
  if (/recover|lemonade\.provider/.test(String(event["event"]))) say(`    ${JSON.stringify(event)}`);

if (!isOnce) {
  say();
  say("Try it yourself; Ctrl-C ends everything:");
  say(
    `    curl -N ${url}/v1/chat/completions -d '{"model":"tiny-a","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
  );
  say(`    kill -9 ${lemond.child("tiny-a")?.pid}      # then the same curl again, with -i to see x-hal0-repair`);
  say(`    curl ${url}/api/slots`);
  say(`    curl ${url}/v1/models`);
  say(`    a browser at ${url}/`);
  await new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
}
server.kill("SIGTERM");
await server.exited;
await reading.catch(() => {}); // It has said what it had to say.
process.exitCode = isGood ? 0 : 1;
