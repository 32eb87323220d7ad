// Ollama's routes at lemond: chat and generate as lines of JSON, embeddings, and the lists (ollama_api.cpp).
import { parseBody, type Body } from "./child-sim.ts";
import type { Answer, ControlContext } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain } from "./lemond-send.ts";
import * as words from "./ollama-words.ts";
import { createOutlet, type Outlet } from "./lemond-stream.ts";
import { specOf, strippedLatest, targetOf } from "./names.ts";
import { reload, through, toldOf } from "./through.ts";
import { askChild, inItsWords, textOf } from "./to-child.ts";

const plainError = (status: number, error: string): Answer => ({ status, body: { error } });

/** `/api/chat`, `/api/generate`, `/api/embed`, `/api/embeddings`: the status, once it is known. */
export async function ollama(exchange: Exchange, path: string, context: ControlContext): Promise<number> {
  const say = async (answer: Answer): Promise<number> => {
    await sendPlain(exchange, context.personality, answer);
    return answer.status;
  };
  const body = parseBody(exchange.body.toString("utf8"));
  if (body === null) return say(plainError(500, "[json.exception.parse_error.101] parse error"));
  const given = body["model"];
  if (typeof given !== "string" || given === "") return say(plainError(400, "model is required"));
  const name = strippedLatest(given);
  const named = specOf(context, name);
  if (isUnload(path, body)) {
    if (named !== undefined) await context.fleet.unload(named.id);
    return say({ status: 200, body: words.doneOf(path, name, "unload") });
  }
  const isEmbedding = path.startsWith("/api/embed");
  const advice = isEmbedding ? "" : ", try pulling it first";
  if (named === undefined) return say(plainError(404, `model '${name}' not found${advice}`));
  const about = { spec: targetOf(context, named), name, isStream: !isEmbedding && body["stream"] !== false };

  if (about.isStream) {
    const outlet = createOutlet(exchange, context, { contentType: "application/x-ndjson", pings: false });
    const passed = await through(context, about, (entry) =>
      lines(exchange, path, { name, body: inItsWords(entry, openaiOf(path, body, true)), context }, entry, outlet),
    );
    if (passed.kind === "done") return 200;
    // Also of a model that is there and cannot be loaded it says that it was not found.
    if (passed.refusal.kind === "load-failed") return say(plainError(404, `model '${name}' not found${advice}`));
    // What the router says of a lost child is no chunk: its words are left out, and the end is a regular one.
    await outlet.finish(words.lineOf(words.chunkOf(path, name, {})) + words.lineOf(words.doneOf(path, name, "stop")));
    return 200;
  }
  const passed = await through(context, about, async (entry) => {
    const asked = isEmbedding ? { model: name, input: body["input"] ?? body["prompt"] } : openaiOf(path, body, false);
    const response = await askChild(exchange, entry, { path: childPath(path), body: inItsWords(entry, asked) });
    return parseBody(await textOf(response)) ?? {};
  });
  if (passed.kind === "done") return say(answerOf(path, name, passed.value));
  if (passed.refusal.kind === "load-failed") return say(plainError(404, `model '${name}' not found${advice}`));
  return say(plainError(500, String(toldOf(passed.refusal, context, false).error["message"])));
}

/** Nothing to say, and to be kept for no time: Ollama's way to unload. */
function isUnload(path: string, body: Body): boolean {
  const isEmpty =
    path === "/api/chat"
      ? !Array.isArray(body["messages"]) || body["messages"].length === 0
      : path === "/api/generate" && (body["prompt"] ?? "") === "";
  return isEmpty && body["keep_alive"] === 0;
}

const childPath = (path: string): string =>
  path === "/api/chat" ? "/v1/chat/completions" : path === "/api/generate" ? "/v1/completions" : "/v1/embeddings";

const openaiOf = (path: string, body: Body, isStream: boolean): Body =>
  path === "/api/chat" ? words.openaiChat(body, isStream) : words.openaiCompletion(body, isStream);

function answerOf(path: string, name: string, reply: Body): Answer {
  const error = reply["error"];
  if (typeof error === "object" && error !== null && "message" in error) return plainError(500, String(error.message));
  if (path === "/api/embed") return { status: 200, body: words.embedOf(name, reply) };
  if (path === "/api/embeddings") return { status: 200, body: words.embeddingOf(name, reply) };
  return { status: 200, body: path === "/api/chat" ? words.chatOf(name, reply) : words.generatedOf(name, reply) };
}

/** The child's events as lines; each event is one (stream_sse_to_ndjson). */
async function lines(
  exchange: Exchange,
  path: string,
  { name, body, context }: { readonly name: string; readonly body: string; readonly context: ControlContext },
  entry: Parameters<typeof askChild>[1],
  outlet: Outlet,
): Promise<void> {
  await outlet.open();
  const response = await askChild(exchange, entry, { path: childPath(path), body });
  const lostWords = words.lineOf(words.chunkOf(path, name, {}));
  if (response.status >= 400) await outlet.write(lostWords);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const bytes of response.body ?? []) {
      const [...whole] = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = whole.pop() ?? "";
      for (const line of whole) {
        const chunk = line.startsWith("data: ") ? parseBody(line.slice("data: ".length)) : null;
        if (chunk !== null) await outlet.write(words.lineOf(words.chunkOf(path, name, chunk)));
      }
    }
  } catch {
    if (exchange.isGone) return;
    // An error event of 11.7 is no chunk either; 10.6 says nothing at all. The end is that of a whole answer.
    if (context.personality.version === "11.7") {
      await outlet.write(lostWords);
      void reload(context, entry);
    }
  }
  await outlet.finish(words.lineOf(words.doneOf(path, name, "stop")));
}
