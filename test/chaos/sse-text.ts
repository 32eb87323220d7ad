// The text of a stream as the judge reads it, each byte one character: without what may stand anywhere, and what its last event
// says. Pure.
import type { Route } from "./plan-requests.ts";

const PING = 'event: ping\ndata: {"type":"ping"}';
const HEARTBEAT =
  /^: (?:checking|waiting for room|loading|reading the prompt|continuing) of \w+, \d+ s(?: of about \d+ s)?$/;
export const SEAM = ": continued";

const eventsOf = (text: string): readonly string[] => text.split("\n\n");
const isComment = (event: string): boolean => event !== "" && event.split("\n").every((line) => line.startsWith(":"));
const isHeartbeat = (event: string): boolean => event === PING || HEARTBEAT.test(event);

/** Heartbeats may stand anywhere between events, and the comments of an attempt that was lost before its first event have gone out. */
export function withoutComments(text: string): string {
  return eventsOf(text)
    .filter((event) => !isComment(event) && event !== PING)
    .join("\n\n");
}

export const heartbeatsIn = (text: string): number => eventsOf(text).filter(isHeartbeat).length;

/** Heartbeats that came where nobody waited: behind the first event and before the stream was cut. */
export function needlessHeartbeats(text: string): number {
  const events = eventsOf(text);
  const first = events.findIndex((event) => event !== "" && !isComment(event) && event !== PING);
  return first < 0 ? 0 : events.slice(first).filter(isHeartbeat).length;
}

interface LastEvent {
  readonly before: string;
  readonly error: Record<string, unknown>;
}

/** The event of ours that ends a stream, or null where there is none. */
function lastError(text: string, route: Route): LastEvent | null {
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

/** The stream without the event that says why it broke off, or null where there is none. */
export function interruptionIn(
  text: string,
  route: Route,
): { readonly before: string; readonly isEnd: boolean } | null {
  const last = lastError(text, route);
  const code = last?.error["code"];
  if (!last || (code !== "dispatch.stream_interrupted" && code !== "server.draining")) return null;
  return { before: last.before, isEnd: code === "server.draining" };
}

/** An error that came where a status was out already and no event of the child's had come: what its header would have been. */
export function failureIn(text: string, route: Route): { readonly code: string; readonly headers: Headers } | null {
  const last = lastError(text, route);
  const code = last?.error["code"];
  if (!last || last.before !== "" || typeof code !== "string" || code === "dispatch.stream_interrupted") return null;
  const seconds =
    last.error["retry_after_s"] ?? (isRecord(last.error["details"]) && last.error["details"]["retry_after_s"]);
  return { code, headers: new Headers(typeof seconds === "number" ? { "retry-after": `${seconds}` } : {}) };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
