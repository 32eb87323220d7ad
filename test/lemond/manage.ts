// lemond's routes that change what it has: download, delete, aliases, pins (server/routes/lemonade/models, server/routes/internal).
import type { Answer, ControlContext } from "./answers.ts";
import { parseBody, type Body } from "./child-sim.ts";
import type { Exchange } from "./http-peer.ts";
import { sendPlain } from "./lemond-send.ts";
import { createOutlet } from "./lemond-stream.ts";
import { specOf, strippedLatest } from "./names.ts";

const bodyOf = ({ body }: Exchange): Body => parseBody(body.toString("utf8")) ?? {};
const textIn = (body: Body, ...names: readonly string[]): string =>
  String(names.map((name) => body[name]).find((value) => typeof value === "string") ?? "");

/** `POST /v1/pull`, and Ollama's `/api/pull`: the status, once it is known. */
export async function pull(exchange: Exchange, path: string, context: ControlContext): Promise<number> {
  const say = async (answer: Answer): Promise<number> => {
    await sendPlain(exchange, context.personality, answer);
    return answer.status;
  };
  const body = bodyOf(exchange);
  const isOllama = path === "/api/pull";
  const name = isOllama ? strippedLatest(textIn(body, "name", "model")) : textIn(body, "model", "model_name");
  if (specOf(context, name) === undefined) {
    if (isOllama) return say({ status: 404, body: { error: `model '${name}' not found` } });
    return say({ status: 400, body: { code: "unknown_model", error: `Model not found: ${name}` } });
  }
  const isStream = isOllama ? body["stream"] !== false : body["stream"] === true;
  const { steps, stepMs } = context.pull;
  if (!isStream) {
    await Bun.sleep(steps * stepMs);
    return say({ status: 200, body: isOllama ? { status: "success" } : { model_name: name, status: "success" } });
  }
  const contentType = isOllama ? "application/x-ndjson" : "text/event-stream";
  const outlet = createOutlet(exchange, context, { contentType, pings: false });
  const file = `${name}.gguf`;
  await outlet.write(isOllama ? '{"status":"pulling manifest"}\n' : "");
  for (let step = 1; step <= steps; step += 1) {
    await Bun.sleep(stepMs);
    // A download ends with the client that watches it.
    if (exchange.isGone) return 200;
    await outlet.write(isOllama ? ollamaLine(file, step, steps) : event("progress", progressOf(file, step, steps)));
  }
  await outlet.finish(isOllama ? '{"status":"success"}\n' : event("complete", { percent: 100 }));
  return 200;
}

const event = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const unit = 1_000_000;

const progressOf = (file: string, step: number, steps: number): object => ({
  bytes_downloaded: step * unit,
  bytes_total: steps * unit,
  file,
  file_index: 1,
  percent: Math.floor((100 * step) / steps),
  total_files: 1,
});

const ollamaLine = (file: string, step: number, steps: number): string =>
  `${JSON.stringify({ completed: step * unit, digest: `sha256:${file}`, status: `downloading ${file}`, total: steps * unit })}\n`;

/** It unloads first. `model` counts before `model_name`, unlike at a load. */
export async function remove(exchange: Exchange, context: ControlContext): Promise<Answer> {
  const name = textIn(bodyOf(exchange), "model", "model_name");
  if (!(await removed(name, context))) return { status: 422, body: { error: `Model not found: ${name}` } };
  return { status: 200, body: { message: `Deleted model: ${name}`, status: "success" } };
}

/** Ollama's way: 200 without a body. */
export async function removeOllama(exchange: Exchange, context: ControlContext): Promise<Answer> {
  const name = strippedLatest(textIn(bodyOf(exchange), "name", "model"));
  if (name === "") return { status: 400, body: { error: "name is required" } };
  if (await removed(name, context)) return { status: 200, body: "" };
  return { status: 404, body: { error: `Model not found: ${name}` } };
}

async function removed(name: string, { models, aliases, fleet }: ControlContext): Promise<boolean> {
  const spec = specOf({ models, aliases }, name);
  if (spec === undefined) return false;
  await fleet.unload(spec.id);
  models.splice(models.indexOf(spec), 1);
  return true;
}

const invalid = (message: string, param?: string): Answer => ({
  status: 400,
  body: { error: { code: "invalid_request", message, type: "invalid_request_error", ...(param && { param }) } },
});

export const listAliases = ({ aliases }: ControlContext): Answer => ({ status: 200, body: { aliases } });

export function addAlias(exchange: Exchange, { aliases }: ControlContext): Answer {
  const body = bodyOf(exchange);
  const [alias, target] = [textIn(body, "alias"), textIn(body, "target", "model")];
  if (alias === "" || target === "") return invalid("Alias and target fields are required", "alias");
  aliases[alias] = target;
  return { status: 200, body: { alias, status: "ok", target } };
}

export function removeAlias(path: string, { aliases }: ControlContext): Answer {
  const alias = decodeURIComponent(path.slice("/internal/aliases/".length));
  if (!(alias in aliases)) return { status: 404, body: { error: `Alias not found: ${alias}` } };
  delete aliases[alias];
  return { status: 200, body: { status: "ok" } };
}

export function pin(exchange: Exchange, context: ControlContext): Answer {
  const body = bodyOf(exchange);
  const name = textIn(body, "model", "model_name");
  const { pinned } = body;
  if (typeof pinned !== "boolean") return invalid("Parameter 'pinned' is required and must be a boolean");
  if (!context.fleet.pin(specOf(context, name)?.id ?? name, pinned)) return invalid(`Model not loaded: ${name}`);
  return { status: 200, body: { model_name: name, pinned, status: "success" } };
}
