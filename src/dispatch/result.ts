// How a request came out, and in which form its client hears of it. Pure.
// Before the first heartbeat everything is a status; after it status 200 is out, and what fails is an event in the stream.
import { DispatchError, type Dialect, errorEvent, foreignErrorEvent } from "../http/errors.ts";
import type { Reply } from "./attempt.ts";
import type { Sent } from "./call.ts";
import type { Continuation } from "./continuation.ts";

export type Result =
  | { readonly kind: "reply"; readonly reply: Reply; readonly sent: Sent; readonly continuation?: Continuation }
  | { readonly kind: "error"; readonly error: DispatchError }
  | { readonly kind: "client-gone" };

/** nginx's number for a client that left; nobody is there to read it. */
export const CLIENT_GONE = 499;

/** What it is, or would have been where heartbeats went out before. */
export function statusOf(result: Result): number {
  switch (result.kind) {
    case "reply":
      return result.reply.status;
    case "error":
      return result.error.status;
    case "client-gone":
      return CLIENT_GONE;
  }
}

export type Form =
  /** A response of its own: the status is still open. */
  | { readonly as: "response" }
  /** The stream that has begun goes on with the reply's events. */
  | { readonly as: "events" }
  /** The stream that has begun ends with this; empty where nobody reads it. */
  | { readonly as: "last-event"; readonly text: string };

export function formOf(result: Result, hasBegun: boolean, upstream: string, dialect: Dialect): Form {
  if (!hasBegun) return { as: "response" };
  switch (result.kind) {
    case "client-gone":
      return { as: "last-event", text: "" };
    case "error":
      return { as: "last-event", text: errorEvent(result.error, dialect) };
    case "reply": {
      const { reply } = result;
      if ("source" in reply && reply.framing === "sse" && reply.status < 400) return { as: "events" };
      const own = "body" in reply && reply.status >= 400 ? errorIn(reply.body) : null;
      const text = own === null ? errorEvent(unfit(upstream, reply.status), dialect) : foreignErrorEvent(own, dialect);
      return { as: "last-event", text };
    }
  }
}

/** An upstream's own error: its object as it is, or its words. */
function errorIn(body: Uint8Array): Record<string, unknown> | null {
  try {
    const { error }: { error?: unknown } = JSON.parse(new TextDecoder().decode(body));
    if (typeof error === "string") return { message: error };
    return typeof error === "object" && error !== null ? { ...error } : null;
  } catch {
    return null; // Not JSON, or null: no error that a client could read.
  }
}

function unfit(upstream: string, status: number): DispatchError {
  const message = `${upstream} answered with status ${status} and no stream.`;
  return new DispatchError("dispatch.upstream_unavailable", message, { upstream, status });
}
