// Judges one answer: the child's bytes exactly, or an envelope of the contract, or a stream that says that it broke off.
// Also whether it had to fail: an error needs a fault that one retry cannot make good.
import type { Received } from "./client.ts";
import type { RequestPlan } from "./plan-requests.ts";
import { timeless, type Prompt } from "./prompts.ts";

export type Kind = "whole" | "interrupted" | "broken-off" | "envelope" | "child-error";

export interface Verdict {
  readonly kind: Kind;
  /** Of an envelope. */
  readonly code: string | null;
  readonly fault: string | null;
}

/** What happened to the slot while the request was under way. */
export interface Circumstances {
  /** Models that the slot may have had. */
  readonly models: readonly string[];
  /** Connections that were lost, or could be: one attempt each at most. */
  readonly losses: number;
  /** lemond was down, mute or busy, or somebody else told it what to load. */
  readonly wasDisturbed: boolean;
  /** A load of one of the slot's models failed in this epoch, or its child died while it was loaded. */
  readonly loadsFailed: boolean;
  readonly operatorActed: boolean;
  /** The child said 503 of itself. */
  readonly wasLoading: boolean;
  /** A reload had taken the slot out. */
  readonly wasAbsent: boolean;
  /** The server has been told to end. */
  readonly isEnding: boolean;
  readonly tookMs: number;
  readonly holdMs: number;
}

const STATUS: Readonly<Record<string, number>> = {
  "slot.loading": 503,
  "slot.overloaded": 503,
  "dispatch.upstream_unavailable": 502,
  "dispatch.upstream_timeout": 504,
  "dispatch.no_route": 404,
  "server.draining": 503,
};

export function judge(plan: RequestPlan, prompt: Prompt, received: Received, seen: Circumstances): Verdict {
  const { status, headers, body, end } = received;
  const verdict = (kind: Kind, fault: string | null = null, code: string | null = null): Verdict => ({
    kind,
    fault,
    code,
  });
  if (status !== 200) {
    if (end === "cut") return verdict("envelope", `a ${status} that was cut short`);
    const code = codeOf(body, plan.route);
    if (code === null) {
      const isChilds = status === 503 && body.includes('"Loading model"');
      return verdict(
        "child-error",
        isChilds && seen.wasLoading ? null : `${status} that is no envelope: ${body.slice(0, 200)}`,
      );
    }
    return verdict("envelope", faultOfEnvelope(code, status, headers, plan, seen), code);
  }
  for (const [name, value] of Object.entries({ "x-request-id": /./, "x-hal0-upstream": new RegExp(`^${plan.slot}$`) }))
    if (!value.test(headers.get(name) ?? "")) return verdict("whole", `${name}: ${headers.get(name)} on a 200`);
  const text = timeless(prompt.isSse ? withoutComments(body) : body);
  const wholes = seen.models
    .map((model) => prompt.expected(model))
    .map((whole) => (prompt.isSse ? withoutComments(whole) : whole));
  if (end === "complete" && wholes.includes(text)) return verdict("whole");
  if (prompt.isSse) {
    const early = failureIn(text, plan.route);
    if (early !== null)
      return verdict("envelope", faultOfEnvelope(early.code, null, early.headers, plan, seen), early.code);
    const lost = mayLose(plan, seen) ? null : "a stream was interrupted although nothing was wrong";
    if (end === "cut") return verdict("interrupted", "an SSE stream ended with a transport error");
    const before = withoutInterruption(text, plan.route);
    if (before === null) return verdict("whole", `neither whole nor interrupted: ${difference(text, wholes)}`);
    const isWholeEvents = before.endsWith("\n\n") || wholes.includes(before);
    if (!isWholeEvents || !wholes.some((whole) => whole.startsWith(before)))
      return verdict(
        "interrupted",
        `what came before the interruption is not the child's: ${difference(before, wholes)}`,
      );
    return verdict("interrupted", lost);
  }
  // After a heartbeat the stream is one of events: what the child gave instead is named in one.
  const instead = prompt.wantsStream ? failureIn(withoutComments(text), plan.route) : null;
  if (instead?.code === "dispatch.upstream_unavailable") return verdict("envelope", null, instead.code);
  if (prompt.wantsStream && end === "cut") {
    const isPrefix = wholes.some((whole) => whole.startsWith(text));
    if (!isPrefix) return verdict("broken-off", `not the child's bytes: ${difference(text, wholes)}`);
    return verdict("broken-off", mayLose(plan, seen) ? null : "broken off although nothing was wrong");
  }
  return verdict("whole", `${end}, not the child's bytes: ${difference(text, wholes)}`);
}

/** One lost connection ends a stream whose first event has gone out. */
export function mayLose(plan: RequestPlan, { losses, operatorActed }: Circumstances): boolean {
  return plan.cut !== null || losses > 0 || operatorActed;
}

function faultOfEnvelope(
  code: string,
  /** Null: it came as an event, after a heartbeat or a comment of the child. */
  status: number | null,
  headers: Headers,
  plan: RequestPlan,
  seen: Circumstances,
): string | null {
  if (status !== null && STATUS[code] !== status) return `code ${code} with status ${status}`;
  const label = headers.get("x-hal0-repair");
  if ((STATUS[code] === 503 || label === "backed_off") && !headers.has("retry-after"))
    return `${code} without Retry-After`;
  if (status !== null && headers.get("x-request-id") === null) return `${code} without x-request-id`;
  // Sent away before its slot was looked for.
  if (code === "dispatch.no_route") return seen.wasAbsent ? null : "a slot that is there was not found";
  if (code === "server.draining") return seen.isEnding ? null : "sent away by a server that does not end";
  if (status !== null && headers.get("x-hal0-upstream") !== plan.slot)
    return `${code} names upstream ${headers.get("x-hal0-upstream")}`;
  const { losses, wasDisturbed, loadsFailed, operatorActed, tookMs, holdMs } = seen;
  // A repair that went well leaves one excuse: the second attempt was lost as well.
  const hasNoChild = label === null || label === "failed" || label === "backed_off";
  if (hasNoChild && (wasDisturbed || (loadsFailed && (label !== null || status === null)))) return null;
  const because = `(repair ${label}, ${losses} losses, ${Math.round(tookMs)} ms)`;
  switch (code) {
    case "slot.loading":
      return operatorActed || tookMs >= holdMs ? null : `slot.loading without an operator's action ${because}`;
    case "dispatch.upstream_unavailable":
      return plan.cut !== null || losses > 1 || (operatorActed && losses > 0) ? null : `needless 502 ${because}`;
    default:
      return `needless ${code} ${because}`;
  }
}

/** The code of an envelope in the dialect of the route, or null. */
function codeOf(body: string, route: RequestPlan["route"]): string | null {
  try {
    const value: unknown = JSON.parse(body);
    if (!isRecord(value) || !isRecord(value["error"])) return null;
    const { message, type, param, code, details } = value["error"];
    const isWhole = typeof message === "string" && typeof type === "string" && param === null && isRecord(details);
    if (!isWhole || typeof code !== "string") return null;
    return route === "messages" && value["type"] !== "error" ? null : code;
  } catch {
    return null; // Not JSON: the caller says so.
  }
}

/**
 * Without comments and pings: heartbeats may stand anywhere between events, and the comments of an attempt that was lost before
 * its first event have gone out.
 */
function withoutComments(text: string): string {
  const isSilent = (event: string): boolean =>
    (event !== "" && event.split("\n").every((line) => line.startsWith(":"))) || event === PING;
  return text
    .split("\n\n")
    .filter((event) => !isSilent(event))
    .join("\n\n");
}
const PING = 'event: ping\ndata: {"type":"ping"}';

interface LastEvent {
  readonly before: string;
  readonly error: Record<string, unknown>;
}

/** The event of ours that ends a stream, or null where there is none. */
function lastError(text: string, route: RequestPlan["route"]): LastEvent | null {
  const begin =
    { messages: "event: error\ndata: ", responses: "event: response.failed\ndata: " }[route as string] ?? "data: ";
  const at = text.lastIndexOf(`${begin}{`);
  if (at < 0 || !text.endsWith("}\n\n")) return null;
  try {
    const event: unknown = JSON.parse(text.slice(at + begin.length));
    if (!isRecord(event) || !isRecord(event["error"])) return null;
    return { before: text.slice(0, at), error: event["error"] };
  } catch {
    return null; // An event of the child's.
  }
}

/** The stream without the event that says it broke off, or null where there is none. */
function withoutInterruption(text: string, route: RequestPlan["route"]): string | null {
  const last = lastError(text, route);
  return last?.error["code"] === "dispatch.stream_interrupted" ? last.before : null;
}

/** An error that came where a status was out already and no event of the child's had come: what its header would have been. */
function failureIn(
  text: string,
  route: RequestPlan["route"],
): { readonly code: string; readonly headers: Headers } | null {
  const last = lastError(text, route);
  const code = last?.error["code"];
  if (!last || last.before !== "" || typeof code !== "string" || code === "dispatch.stream_interrupted") return null;
  const seconds =
    last.error["retry_after_s"] ?? (isRecord(last.error["details"]) && last.error["details"]["retry_after_s"]);
  return { code, headers: new Headers(typeof seconds === "number" ? { "retry-after": `${seconds}` } : {}) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function difference(text: string, wholes: readonly string[]): string {
  const [whole = ""] = wholes;
  let at = 0;
  while (at < text.length && text[at] === whole[at]) at += 1;
  const near = (of: string): string => JSON.stringify(of.slice(Math.max(0, at - 20), at + 80));
  return `${text.length} of ${whole.length} bytes, at ${at} ${near(text)} for ${near(whole)}`;
}
