// A prompt through lemond: load the model if need be, pass the request to its child, pass or wrap what comes back.
import { parseBody, type Body } from "./child-sim.ts";
import { loadFailed, malformed, modelNotFound, specOf, type Answer, type ControlContext } from "./answers.ts";
import type { Entry } from "./fleet.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain } from "./lemond-send.ts";
import { streamHead } from "./personality-heads.ts";
import { sorted } from "./personality.ts";

export async function proxied(exchange: Exchange, route: string, context: ControlContext): Promise<number> {
  const say = async (answer: Answer): Promise<number> => {
    await sendPlain(exchange, context.personality, answer);
    return answer.status;
  };
  const is106 = context.personality.version === "10.6";
  const text = exchange.body.toString("utf8");
  const body = parseBody(text);
  if (body === null) return say(malformed(context, text));
  const id = body["model"];
  if (typeof id !== "string" || id === "") {
    const error = { message: "Invalid request: No model specified in request", type: "invalid_request" };
    return say({ status: is106 ? 500 : 400, body: { error } });
  }
  const spec = specOf(context, id);
  if (spec === undefined) return say(modelNotFound(context, id));

  const isStream = body["stream"] === true;
  for (let attempt = 1; ; attempt += 1) {
    if (!context.fleet.has(spec.id)) {
      const outcome = await context.fleet.load(spec, {});
      if (outcome.kind === "failed") return say(loadFailed(id, outcome.message));
    }
    const use = await context.fleet.use(spec.id, isStream);
    // Evicted between its load and its chat (router.cpp; DESIGN.md section 2, 21).
    if (use === undefined) return sendNotLoaded(exchange, context, spec.id, isStream);
    const { entry, done } = use;
    // 11.7 asks whether the child is there before it sends; 10.6 trusts its list (recording 30).
    if (!is106 && !entry.child.isAlive) {
      done();
      await Promise.all([entry.child.exited, Bun.sleep(context.deathNoticeMs + 1)]);
      continue;
    }
    try {
      if (isStream) return await stream(exchange, route, context, entry, text);
      return await say(await whole(exchange, route, context, entry, body));
    } catch (cause) {
      if (!(cause instanceof LostChild)) throw cause;
      if (!is106 && attempt < 2) continue;
      const error = { message: `Network error: ${cause.message}`, type: "network_error" };
      return await say({ status: 500, body: { error } });
    } finally {
      done();
    }
  }
}

async function sendNotLoaded(
  exchange: Exchange,
  { personality }: ControlContext,
  id: string,
  isStream: boolean,
): Promise<number> {
  const error = { message: `No model loaded: ${id}`, type: "model_not_loaded" };
  if (!isStream) {
    const status = personality.version === "10.6" ? 500 : 404;
    await sendPlain(exchange, personality, { status, body: { error } });
    return status;
  }
  await exchange.write(streamHead(personality, exchange.mustClose));
  await finish(exchange, `data: ${JSON.stringify({ error })}\n\n`);
  return 200;
}

class LostChild extends Error {
  override readonly name = "LostChild";
}

async function send(exchange: Exchange, route: string, entry: Entry, body: string): Promise<Response> {
  const gone = new AbortController();
  exchange.onGone(() => gone.abort());
  const url = `http://127.0.0.1:${entry.child.port}${route}`;
  const headers = { "content-type": "application/json", connection: "close" };
  try {
    return await fetch(url, { method: "POST", headers, body, keepalive: false, signal: gone.signal, timeout: false });
  } catch (cause) {
    throw new LostChild(curlWords(cause), { cause });
  }
}

const curlWords = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED"
    ? "CURL error: Couldn't connect to server"
    : "CURL error: Server returned nothing (no headers, no data)";

async function whole(
  exchange: Exchange,
  route: string,
  context: ControlContext,
  entry: Entry,
  body: Body,
): Promise<Answer> {
  const response = await send(exchange, route, entry, JSON.stringify(body));
  let text: string;
  try {
    text = await response.text();
  } catch (cause) {
    throw new LostChild(curlWords(cause), { cause });
  }
  const reply = parseBody(text);
  if (reply === null) return { status: response.status, body: text };
  if (response.status >= 400) {
    // 10.6 says 200 for what a child does not support (recording 18).
    const is106 = context.personality.version === "10.6";
    return { status: is106 && response.status === 501 ? 200 : response.status, body: { error: wrapped(reply) } };
  }
  // 11.7 puts back the name that was asked for.
  const model = context.personality.version === "11.7" && "model" in reply ? { model: body["model"] } : {};
  return { status: response.status, body: { ...reply, ...model } };
}

function errorOf(reply: Body): Readonly<Record<string, unknown>> {
  const error = reply["error"];
  return typeof error === "object" && error !== null ? { ...error } : {};
}

function wrapped(reply: Body): object {
  const { code, message, type } = errorOf(reply);
  const isContext = type === "exceed_context_size_error";
  const details = { backend: "llama-server", response: reply };
  const named = isContext ? { code: "context_length_exceeded", type: "invalid_request_error" } : { code, type };
  return { details, message, status_code: code, ...named };
}

const chunked = (text: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
};

async function stream(
  exchange: Exchange,
  route: string,
  context: ControlContext,
  entry: Entry,
  text: string,
): Promise<number> {
  const is106 = context.personality.version === "10.6";
  let response: Response;
  try {
    response = await send(exchange, route, entry, text);
  } catch (cause) {
    if (!is106 || !(cause instanceof LostChild)) throw cause;
    await exchange.write(streamHead(context.personality, exchange.mustClose));
    await finish(
      exchange,
      `data: ${JSON.stringify({ error: { message: cause.message, type: "streaming_error" } })}\n\n`,
    );
    return 200;
  }
  // Both say 200 before they know what the child says (recording 16).
  await exchange.write(streamHead(context.personality, exchange.mustClose));
  if (response.status >= 400) {
    const raw = await response.text();
    const error = errorOf(parseBody(raw) ?? {});
    await finish(
      exchange,
      is106 ? raw : `data: ${JSON.stringify(sorted({ error: { ...error, status_code: error["code"] } }))}\n\n`,
    );
    return 200;
  }
  try {
    if (response.body !== null) for await (const bytes of response.body) await exchange.write(chunked(bytes));
  } catch {
    // The child was lost inside its reply; a client that has left needs no word of it.
    if (exchange.isGone) return 200;
    // 10.6 forges a regular end (recording 31); 11.7 says what happened and brings the model back.
    if (is106) await finish(exchange, "data: [DONE]\n\n");
    else {
      await finish(exchange, `data: ${JSON.stringify(watchdogReset)}\n\n`);
      await Promise.all([entry.child.exited, Bun.sleep(context.deathNoticeMs + 1)]);
      await context.fleet.load(entry.spec, {});
    }
    return 200;
  }
  await finish(exchange, "");
  return 200;
}

async function finish(exchange: Exchange, last: string): Promise<void> {
  if (last !== "") await exchange.write(chunked(last));
  await exchange.write("0\r\n\r\n");
  exchange.finish();
}

const watchdogReset = {
  error: {
    details: {
      backend: "llama-server",
      code: "backend_watchdog_reset",
      reason:
        "backend connection failed during streaming request: backend connection failed during SSE stream before DONE: CURL error: Transferred a partial file",
      retryable: true,
    },
    message:
      "llama-server was unresponsive and has been reset by the backend watchdog. The model will be reloaded automatically on retry.",
    type: "backend_error",
  },
};
