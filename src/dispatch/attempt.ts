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
  /** Called before anything is sent, with what cuts the attempt and when the other end last sent anything. */
  readonly onStart: (cut: (ended: Ended) => void, heardMs: () => number) => void;
}

/**
 * fetch re-uses pooled connections that llama-server has closed without a word, so each attempt has its own
 * (`keepalive: false`); it gives up after 300 s by itself (`timeout: false`, not in the types); it would follow redirects,
 * and decompress while keeping `content-encoding`. All Bun 1.4.5.
 */
export const OWN_CONNECTION = { keepalive: false, timeout: false, redirect: "manual", decompress: false } as const;

/** `Response` takes no higher status. */
const HIGHEST_STATUS = 599;
const LOWEST_STATUS = 200;

/** Sends the request once. Never throws for what the network does. */
export async function attempt(call: Sending, dial: Dial): Promise<Outcome> {
  if (call.client.aborted) return { kind: "client-gone" };
  const connection = createConnection(call.client);
  dial.onStart(connection.cut, connection.heardMs);
  const { firstByteTimeoutMs } = dial;
  const timer =
    firstByteTimeoutMs > 0 ? setTimeout(() => connection.cut({ kind: "timeout" }), firstByteTimeoutMs) : null;
  try {
    return await exchange(call, dial, connection);
  } finally {
    if (timer) clearTimeout(timer);
    if (call.progress) call.progress.dialledMs = null;
  }
}

async function exchange(call: Sending, { url, objection: ask }: Dial, connection: Connection): Promise<Outcome> {
  if (ask) {
    const objection = await connection.settle(ask(connection.signal), "reset", valueOf);
    if (objection.kind !== "value") return objection;
    if (objection.value !== null) return { kind: "lost", error: "ConnectError", cause: objection.value };
  }
  if (call.progress) call.progress.dialledMs = performance.now();
  const response = await connection.settle(
    fetch(url, { method: call.method, ...upload(call), signal: connection.signal, ...OWN_CONNECTION }),
    "reset",
    valueOf,
  );
  if (response.kind !== "value") return response;
  const { status, headers: replyHeaders } = response.value;
  if (status < LOWEST_STATUS || status > HIGHEST_STATUS) {
    connection.cut({ kind: "lost", error: "RemoteProtocolError", cause: "reset" });
    return { kind: "lost", error: "RemoteProtocolError", cause: "reset" };
  }
  const type = (replyHeaders.get("content-type") ?? "").toLowerCase();
  // In an encoded body we cannot see events, and cannot add any.
  const framing = isPlain(replyHeaders) ? framingOf(type) : "none";
  const isWhole = framing === "none" && (!call.wantsStream || type.includes("json"));
  const announced = Number(replyHeaders.get("content-length") ?? Number.NaN);
  if (isWhole && announced <= call.maxReplyBytes) {
    const whole = await connection.settle(response.value.bytes(), "truncated", valueOf);
    return whole.kind === "value" ? { kind: "reply", status, headers: replyHeaders, body: whole.value } : whole;
  }
  const reader = response.value.body?.getReader();
  if (!reader) return { kind: "reply", status, headers: replyHeaders, body: new Uint8Array() };
  const source = createSource(connection, reader);
  // A reply that says that it is larger than the limit need not be read up to it first.
  const begun = isWhole
    ? await readWhole(source, announced > call.maxReplyBytes ? 0 : call.maxReplyBytes)
    : await readFirst(source, framing, call.progress?.onComment);
  return "kind" in begun ? begun : { kind: "reply", status, headers: replyHeaders, framing, ...begun };
}

function framingOf(type: string): Framing {
  if (type.startsWith("text/event-stream")) return "sse";
  return type.startsWith("application/x-ndjson") ? "lines" : "none";
}

function isPlain(headers: Headers): boolean {
  const encoding = headers.get("content-encoding");
  return encoding === null || encoding === "" || encoding.toLowerCase() === "identity";
}

const valueOf = <T>(value: T): { readonly kind: "value"; readonly value: T } => ({ kind: "value", value });

interface Connection {
  readonly signal: AbortSignal;
  cut(ended: Ended): void;
  heardMs(): number;
  /** `onReset`: what a reset means at this point. */
  settle<T, S>(promise: Promise<T>, onReset: "reset" | "truncated", as: (value: T) => S): Promise<S | Ended>;
}

/** Aborting a fetch does not promise that a pending read settles soon (Bun 1.4.5), so a cut settles it itself. */
function createConnection(client: AbortSignal): Connection {
  const abort = new AbortController();
  let ended: Ended | null = null;
  let pending: ((settled: Ended) => void) | null = null;
  let heardMs = performance.now();
  const cut = (how: Ended): void => {
    if (ended) return;
    ended = how;
    pending?.(how);
    abort.abort();
  };
  // Not made inside the async function: a closure there would keep the request's body for as long as the stream runs.
  client.addEventListener("abort", () => cut({ kind: "client-gone" }), { once: true });
  return {
    signal: abort.signal,
    cut,
    heardMs: () => heardMs,
    settle: (promise, onReset, as) =>
      new Promise((resolve) => {
        pending = resolve;
        promise.then(
          (value) => {
            heardMs = performance.now();
            resolve(ended ?? as(value));
          },
          (error: unknown) => resolve(ended ?? lost(error, onReset)),
        );
        if (ended) resolve(ended);
      }),
  };
}

function createSource(connection: Connection, reader: { read(): Promise<ReaderResult> }): Source {
  return {
    cut: connection.cut,
    read: () => connection.settle(reader.read(), "truncated", readOf),
  };
}

const readOf = (chunk: ReaderResult): Read => (chunk.done ? { kind: "end" } : { kind: "bytes", bytes: chunk.value });

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
