// lemond's routes that hear, speak, paint and sort: JSON or a form in, JSON or bytes out (server/routes/openai/{audio,images}).
import { modelNotFound, type Answer, type ControlContext } from "./answers.ts";
import { parseBody, type Body } from "./child-sim.ts";
import type { Entry } from "./entry.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain } from "./lemond-send.ts";
import { createOutlet } from "./lemond-stream.ts";
import { fieldOf, partsOf, type Part } from "./multipart.ts";
import { specOf, strippedLatest, targetOf } from "./names.ts";
import { through, toldOf } from "./through.ts";
import { askChild, inItsWords, LostChild, textOf, type Asking } from "./to-child.ts";

const invalid = (message: string, code?: string): Answer => ({
  status: 400,
  body: { error: { message, type: "invalid_request_error", ...(code === undefined ? {} : { code }) } },
});

interface Given {
  readonly parts: readonly Part[] | undefined;
  readonly body: Body;
}

/** The status, once it is known. */
export async function media(exchange: Exchange, path: string, context: ControlContext): Promise<number> {
  const say = async (answer: Answer): Promise<number> => {
    await sendPlain(exchange, context.personality, answer);
    return answer.status;
  };
  const parts = partsOf(exchange.body, exchange.headers["content-type"]);
  const body = parts === undefined ? parseBody(exchange.body.toString("utf8")) : {};
  if (body === null) return say(invalid("Invalid JSON in request body"));
  const given = { parts, body };
  const id = parts === undefined ? body["model"] : fieldOf(parts, "model");
  if (typeof id !== "string" || id === "") return say(invalid("Missing 'model' field in request"));
  const name = strippedLatest(id);
  const named = specOf(context, name);
  if (named === undefined) return say(modelNotFound(context, name));
  const spec = targetOf(context, named);
  const isSpeech = path === "/v1/audio/speech";
  if (isSpeech && spec.type !== "tts")
    return say(invalid(`Model '${name}' is not a text-to-speech model`, "model_not_applicable"));
  if (path === "/v1/audio/transcriptions" && !(parts ?? []).some((part) => part.name === "file"))
    return say(invalid("Missing 'file' field in request"));

  const isStream = isSpeech && (body["stream"] === true || body["stream_format"] === "audio");
  const about = { spec, name, isStream };
  if (isStream) return speech(exchange, path, context, about, given);
  const passed = await through(context, about, (entry) => whole(exchange, path, entry, given));
  if (passed.kind === "done") return say(passed.value);
  if (passed.refusal.kind === "load-failed") return say(passed.refusal.answer);
  const { status, error } = toldOf(passed.refusal, context, false);
  // The images' routes say 500 of everything.
  return say({ status: path.startsWith("/v1/images/") ? 500 : status, body: { error } });
}

/** whisper's server has a route of its own; the others are asked at lemond's. */
function askingOf(exchange: Exchange, path: string, entry: Entry, { parts, body }: Given): Asking {
  const childPath = path === "/v1/audio/transcriptions" ? "/inference" : path;
  if (parts === undefined) return { path: childPath, body: inItsWords(entry, body) };
  return { path: childPath, body: exchange.body, contentType: exchange.headers["content-type"] ?? "" };
}

async function whole(exchange: Exchange, path: string, entry: Entry, given: Given): Promise<Answer> {
  const response = await askChild(exchange, entry, askingOf(exchange, path, entry, given));
  const contentType = response.headers.get("content-type") ?? "application/octet-stream";
  if (contentType.startsWith("application/json")) {
    const text = await textOf(response);
    return { status: response.status, body: parseBody(text) ?? text };
  }
  try {
    return { status: response.status, body: new Uint8Array(await response.arrayBuffer()), contentType };
  } catch (cause) {
    throw new LostChild("CURL error: Transferred a partial file", { cause });
  }
}

async function speech(
  exchange: Exchange,
  path: string,
  context: ControlContext,
  about: Parameters<typeof through>[1],
  given: Given,
): Promise<number> {
  const outlet = createOutlet(exchange, context, { contentType: "audio/pcm", pings: false });
  const passed = await through(context, about, async (entry) => {
    await outlet.open();
    const response = await askChild(exchange, entry, askingOf(exchange, path, entry, given));
    try {
      for await (const bytes of response.body ?? []) await outlet.write(bytes);
    } catch {
      // A sound that breaks off ends as one that is over (streaming_proxy.cpp: forward_byte_stream).
    }
    await outlet.finish();
  });
  if (passed.kind === "done") return 200;
  if (passed.refusal.kind === "load-failed") {
    await sendPlain(exchange, context.personality, passed.refusal.answer);
    return passed.refusal.answer.status;
  }
  // The event goes into the sound: lemond knows one way to say it in a stream (router.cpp: execute_streaming).
  await outlet.finish(`data: ${JSON.stringify({ error: toldOf(passed.refusal, context, true).error })}\n\n`);
  return 200;
}

/** The helper of a tokenizer asks the model that was used last, whatever `model` says (router.cpp: tokenize). */
export async function tokenized(exchange: Exchange, context: ControlContext): Promise<Answer> {
  const id = context.fleet.newest();
  const use = id === undefined ? undefined : await context.fleet.use(id, false);
  if (use === undefined)
    return { status: 404, body: { error: { message: "No model loaded: No models loaded", type: "model_not_loaded" } } };
  try {
    const response = await askChild(exchange, use.entry, { path: "/tokenize", body: exchange.body });
    return { status: response.status, body: parseBody(await textOf(response)) };
  } catch (cause) {
    if (!(cause instanceof LostChild)) throw cause;
    const { status, error } = toldOf({ kind: "lost", id: use.entry.spec.id, words: cause.message }, context, false);
    return { status, body: { error } };
  } finally {
    use.done();
  }
}
