// One attempt: one fetch to one target, until the first bytes of the reply can be given to the client. Ends as a value.
// Never retries, never judges whether the target is worth another try.
import { readFirst, readWhole } from "./beginning.ts";
import type { Sending } from "./call.ts";
import type { Framing } from "./sse.ts";
import { upload } from "./upload.ts";

/**
 * Why a connection counts as lost. `refused`, `reset` and `truncated` (inside the body) are what the socket said, `no host`
 * covers names and certificates; the others are evidence against a child that was not dialled or still holds the socket.
 */
export type LossCause =
  | "refused"
  | "reset"
  | "truncated"
  | "no host"
  | "local"
  | "not loaded"
  | "pid gone"
  | "evicted"
  | "moved"
  | "loading"
  | "wedged"
  | "unloaded"
  | "lost by lemond"
  | "stopping";

/** The error names are those of the Python project that this contract comes from. */
export interface Lost {
  readonly kind: "lost";
  readonly error: "ConnectError" | "RemoteProtocolError";
  readonly cause: LossCause;
}

export type Ended = Lost | { readonly kind: "timeout" } | { readonly kind: "client-gone" };

/** `body` is whole, or the first bytes of a stream with the `source` of the rest. */
export type Reply = {
  readonly kind: "reply";
  readonly status: number;
  readonly headers: Headers;
} & (
  { readonly body: Uint8Array } | { readonly first: Uint8Array; readonly source: Source; readonly framing: Framing }
);

export type Outcome = Reply | Ended;

/** What one read gives: bytes, the regular end, or how the attempt ended instead. */
export type Read = { readonly kind: "bytes"; readonly bytes: Uint8Array } | { readonly kind: "end" } | Ended;

/** The body of a reply. One read at a time. */
export interface Source {
  read(): Promise<Read>;
  /** Closes the connection; a read under way ends as `ended`. Idempotent. */
  cut(ended: Ended): void;
}

/** Where an attempt goes, and what it needs besides its call. */
export interface Dial {
  readonly url: string;
  /** Milliseconds to the first byte that can be relayed; 0 is no limit. */
  readonly firstByteTimeoutMs: number;
  /** Asked before anything is sent, within the same limit: a cause not to dial at all, or null. */
  readonly objection: ((limit: AbortSignal) => Promise<LossCause | null>) | null;
}

/** One attempt under way, as long as its reply runs. Written in this file alone. */
export interface Connection {
  readonly abort: AbortController;
  /** When the other end last sent anything. */
  heardMs: number;
  /** How it was cut. */
  ended: Ended | null;
  /** Gives that to whoever waits. */
  settle: ((ended: Ended) => void) | null;
  /** What a reset means by now. */
  onReset: "reset" | "truncated";
}

/**
 * fetch re-uses pooled connections that llama-server has closed without a word, so each attempt has its own
 * (`keepalive: false`); it gives up after 300 s by itself (`timeout: false`, not in the types); it would follow redirects,
 * and decompress while keeping `content-encoding`. All Bun 1.4.5.
 */
export const OWN_CONNECTION = { keepalive: false, timeout: false, redirect: "manual", decompress: false } as const;

const CLIENT_GONE: Ended = { kind: "client-gone" };
const TIMEOUT: Ended = { kind: "timeout" };

/** `Response` takes no higher status. */
const HIGHEST_STATUS = 599;
const LOWEST_STATUS = 200;

/** A connection of its own for one attempt of that client. Made apart from it: a closure there would keep the request's body. */
export function openConnection(client: AbortSignal): Connection {
  const connection: Connection = {
    abort: new AbortController(),
    heardMs: performance.now(),
    ended: client.aborted ? CLIENT_GONE : null,
    settle: null,
    onReset: "reset",
  };
  client.addEventListener("abort", () => cut(connection, CLIENT_GONE), { once: true });
  return connection;
}

/** Closes the connection; what is waited for ends as `how`. Idempotent. */
export function cut(connection: Connection, how: Ended): void {
  if (connection.ended) return;
  connection.ended = how;
  connection.settle?.(how);
  connection.abort.abort();
}

/** Sends the request once. Never rejects for what the network does. */
export async function attempt(call: Sending, dial: Dial, connection: Connection): Promise<Outcome> {
  if (connection.ended) return connection.ended;
  const { firstByteTimeoutMs } = dial;
  const timer = firstByteTimeoutMs > 0 ? setTimeout(cut, firstByteTimeoutMs, connection, TIMEOUT) : null;
  const outcome = await settled(connection, exchange(call, dial, connection));
  if (timer) clearTimeout(timer);
  if (call.progress) call.progress.dialledMs = null;
  return outcome;
}

/** Aborting a fetch does not promise that a pending read settles soon (Bun 1.4.5), so a cut settles it itself. */
function settled(connection: Connection, exchanged: Promise<Outcome>): Promise<Outcome> {
  return new Promise((resolve) => {
    connection.settle = resolve;
    exchanged.then(resolve, (error: unknown) => resolve(connection.ended ?? lost(error, connection.onReset)));
  });
}

/** Rejects with what fetch says of the network. */
async function exchange(call: Sending, { url, objection: ask }: Dial, connection: Connection): Promise<Outcome> {
  const { signal } = connection.abort;
  const objection = ask && (await ask(signal));
  if (connection.ended) return connection.ended;
  if (objection !== null) return { kind: "lost", error: "ConnectError", cause: objection };
  if (call.progress) call.progress.dialledMs = performance.now();
  const { body, headers: sent } = upload(call);
  const response = await fetch(url, { ...OWN_CONNECTION, method: call.method, headers: sent, body, signal });
  connection.heardMs = performance.now();
  connection.onReset = "truncated";
  const { status, headers } = response;
  if (status < LOWEST_STATUS || status > HIGHEST_STATUS) {
    const reset: Ended = { kind: "lost", error: "RemoteProtocolError", cause: "reset" };
    cut(connection, reset);
    return reset;
  }
  const type = (headers.get("content-type") ?? "").toLowerCase();
  // In an encoded body we cannot see events, and cannot add any.
  const framing = isPlain(headers) ? framingOf(type) : "none";
  const isWhole = framing === "none" && (!call.wantsStream || type.includes("json"));
  const announced = Number(headers.get("content-length") ?? Number.NaN);
  if (isWhole && announced <= call.maxReplyBytes)
    return { kind: "reply", status, headers, body: await response.bytes() };
  const reader = response.body?.getReader();
  if (!reader) return { kind: "reply", status, headers, body: new Uint8Array() };
  const source = createSource(connection, reader);
  // A reply that says that it is larger than the limit need not be read up to it first.
  const begun = isWhole
    ? await readWhole(source, announced > call.maxReplyBytes ? 0 : call.maxReplyBytes)
    : await readFirst(source, framing, call.progress?.onComment);
  return "kind" in begun ? begun : { kind: "reply", status, headers, framing, ...begun };
}

function framingOf(type: string): Framing {
  if (type.startsWith("text/event-stream")) return "sse";
  return type.startsWith("application/x-ndjson") ? "lines" : "none";
}

function isPlain(headers: Headers): boolean {
  const encoding = headers.get("content-encoding");
  return encoding === null || encoding === "" || encoding.toLowerCase() === "identity";
}

function createSource(connection: Connection, reader: { read(): Promise<ReaderResult> }): Source {
  let give: (read: Read) => void = () => {};
  const heard = (chunk: ReaderResult): void => {
    connection.heardMs = performance.now();
    give(chunk.done ? { kind: "end" } : { kind: "bytes", bytes: chunk.value });
  };
  const failed = (error: unknown): void => give(connection.ended ?? lost(error, connection.onReset));
  const wait = (resolve: (read: Read) => void): void => {
    give = resolve;
    connection.settle = resolve;
    reader.read().then(heard, failed);
  };
  return {
    cut: (ended) => cut(connection, ended),
    read: () => (connection.ended ? Promise.resolve(connection.ended) : new Promise(wait)),
  };
}

type ReaderResult = { done: false; value: Uint8Array } | { done: true };

function lost(error: unknown, onReset: "reset" | "truncated"): Lost {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (onReset === "truncated") return { kind: "lost", error: "RemoteProtocolError", cause: "truncated" };
  switch (code) {
    case "ECONNREFUSED":
    case "ConnectionRefused": // Bun before 1.4
      return { kind: "lost", error: "ConnectError", cause: "refused" };
    case "ECONNRESET":
    case "ConnectionClosed": // Bun before 1.4
    case "EPIPE":
      return { kind: "lost", error: "RemoteProtocolError", cause: "reset" };
    case "EMFILE":
    case "ENFILE":
    case "EADDRNOTAVAIL": // Files or ports have run out here; the other end did nothing.
      return { kind: "lost", error: "ConnectError", cause: "local" };
    default:
      return { kind: "lost", error: "ConnectError", cause: "no host" };
  }
}
