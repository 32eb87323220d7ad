// A prompt through lemond's own port, plain or streaming: passed on to the model's child, and wrapped as each generation does.
import { adjusted } from "./adjust.ts";
import { parseBody, type Body } from "./child-sim.ts";
import { malformed, modelNotFound, type Answer, type ControlContext } from "./answers.ts";
import type { Entry } from "./entry.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain, sorted } from "./lemond-send.ts";
import { createOutlet, type Outlet } from "./lemond-stream.ts";
import { specOf, strippedLatest, targetOf } from "./names.ts";
import { reload, through, toldOf, watchdogReset, type Refusal } from "./through.ts";
import { askChild, inItsWords, LostChild, textOf, wantsOwnName } from "./to-child.ts";

/** The status, once it is known. */
export async function proxied(exchange: Exchange, path: string, context: ControlContext): Promise<number> {
  const dialect = path === "/v1/messages" ? anthropic : openai;
  const say = async (answer: Answer): Promise<number> => {
    await sendPlain(exchange, context.personality, answer);
    return answer.status;
  };
  const is106 = context.personality.version === "10.6";
  const text = exchange.body.toString("utf8");
  const given = parseBody(text);
  if (given === null) return say(malformed(context, text));
  const body = adjusted(path, given);
  const id = body["model"];
  if (typeof id !== "string" || id === "") {
    const error = { message: "Invalid request: No model specified in request", type: "invalid_request" };
    return say({ status: is106 ? 500 : 400, body: { error } });
  }
  const name = strippedLatest(id);
  const named = specOf(context, name);
  if (named === undefined) return say(modelNotFound(context, name));
  const spec = targetOf(context, named);

  const isStream = body["stream"] === true;
  const about = { spec, name, isStream };
  if (!isStream) {
    const passed = await through(context, about, (entry) => whole(exchange, path, context, entry, body));
    if (passed.kind === "done") return say(passed.value);
    return say(refusedAnswer(passed.refusal, context, dialect));
  }
  const outlet = createOutlet(exchange, context, { contentType: "text/event-stream", pings: true });
  const passed = await through(context, about, (entry) => {
    const asked = wantsOwnName(spec) || body !== given ? inItsWords(entry, body) : text;
    return stream(exchange, { path, body: asked }, context, entry, outlet);
  });
  if (passed.kind === "done") return 200;
  if (passed.refusal.kind === "load-failed") return say(refusedAnswer(passed.refusal, context, dialect));
  const { error, status } = toldOf(passed.refusal, context, true);
  await outlet.finish(dialect.event(error, status));
  return 200;
}

/** How an error of a lost child looks; Anthropic's has neither lemond's type nor its code (anthropic_error.h). */
interface Dialect {
  readonly body: (error: Readonly<Record<string, unknown>>, status: number) => object;
  readonly event: (error: Readonly<Record<string, unknown>>, status: number) => string;
}

const openai: Dialect = {
  body: (error) => ({ error }),
  event: (error) => `data: ${JSON.stringify({ error })}\n\n`,
};

const anthropicError = (error: Readonly<Record<string, unknown>>, status: number): object => ({
  error: { message: error["message"], type: status === 404 ? "not_found_error" : "api_error" },
  type: "error",
});

const anthropic: Dialect = {
  body: anthropicError,
  event: (error, status) => `event: error\ndata: ${JSON.stringify(anthropicError(error, status))}\n\n`,
};

function refusedAnswer(refusal: Refusal, context: ControlContext, dialect: Dialect): Answer {
  if (refusal.kind === "load-failed") return refusal.answer;
  const { status, error } = toldOf(refusal, context, false);
  return { status, body: dialect.body(error, status) };
}

async function whole(
  exchange: Exchange,
  path: string,
  context: ControlContext,
  entry: Entry,
  body: Body,
): Promise<Answer> {
  const response = await askChild(exchange, entry, { path, body: inItsWords(entry, body) });
  const text = await textOf(response);
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

async function stream(
  exchange: Exchange,
  asking: { readonly path: string; readonly body: string },
  context: ControlContext,
  entry: Entry,
  outlet: Outlet,
): Promise<void> {
  const is106 = context.personality.version === "10.6";
  // Both say 200 before they know what the child says (recordings 16, 32).
  await outlet.open();
  const response = await askChild(exchange, entry, asking);
  if (response.status >= 400) {
    const raw = await textOf(response);
    const error = errorOf(parseBody(raw) ?? {});
    const event = { error: { ...error, status_code: error["code"] } };
    return outlet.finish(is106 ? raw : `data: ${JSON.stringify(sorted(event))}\n\n`);
  }
  let isBegun = false;
  try {
    for await (const bytes of response.body ?? []) {
      isBegun = true;
      await outlet.write(bytes);
    }
  } catch (cause) {
    // A client that has left needs no word of it.
    if (exchange.isGone) return;
    if (!isBegun && !is106) throw new LostChild("CURL error: Server returned nothing (no headers, no data)", { cause });
    // 10.6 forges a regular end (recording 31); 11.7 says what happened and brings the model back.
    if (is106) return outlet.finish("data: [DONE]\n\n");
    await outlet.finish(`data: ${JSON.stringify({ error: watchdogReset(lostInside) })}\n\n`);
    await reload(context, entry);
    return;
  }
  await outlet.finish();
}

const lostInside =
  "backend connection failed during streaming request: backend connection failed during SSE stream before DONE: CURL error: Transferred a partial file";
