// A client's WebSocket joined with one at lemond: messages both ways as they are, the end of either with its code at the
// other. Dials lemond before the client is let in; no key of the client's goes on, and what authenticates in a message is
// answered here.
import type { Lemonade } from "../lemonade/lemonade.ts";
import { DispatchError } from "../http/errors.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { requestHeaders } from "../http/headers.ts";
import { queryForLemond, queryValue, withQueryValue } from "../http/query.ts";
import type { SocketPath } from "../http/routes.ts";
import { authReply } from "./socket-auth.ts";

export interface SocketsDeps {
  readonly lemonade: Pick<Lemonade, "url" | "keyHeaders">;
  /** What lemond calls the model that a client names; null where nobody has it. */
  readonly modelAtLemond: (name: string) => Promise<string | null>;
  readonly instance: string;
  /** Every key that is valid here; empty if the server has no keys. */
  readonly keys: () => readonly string[];
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What the server tells of a client's socket. */
export interface SocketHandlers {
  open(socket: ClientSocket): void;
  message(socket: ClientSocket, message: string | Buffer): void;
  close(socket: ClientSocket, code: number, reason: string): void;
}

type ClientSocket = Bun.ServerWebSocket<unknown>;

/** Lets the client in; false where it asked for no socket. */
export type Upgrade = (handlers: SocketHandlers, headers: Headers) => boolean;

export interface Sockets {
  /** Throws DispatchError where lemond has no socket for it. */
  open(to: SocketPath, request: Request, requestId: string, upgrade: Upgrade): Promise<void>;
  readonly count: number;
  /** Ends all of them: the server stops. */
  close(): void;
}

/** What is not read is kept by Bun, in both directions: there is no way to stop the other side from sending. */
export const MOST_UNREAD_BYTES = 16 * 1024 * 1024;
const DIAL_MS = 10_000;
const UPGRADED = 101;
const STOPPING = 1001;
const TRY_AGAIN_LATER = 1013;
/** Codes for "no code" and "no regular end", which cannot be sent. */
const NO_CODE = 1005;
const ABNORMAL = 1006;

/** Belongs to the client's handshake alone. */
const HANDSHAKE = /^(?:sec-websocket-|connection$|upgrade$|accept-encoding$|content-)/;

export function createSockets(deps: SocketsDeps): Sockets {
  const joined = new Set<(code: number, reason: string) => void>();

  const dial = async (to: SocketPath, request: Request): Promise<WebSocket> => {
    const target = deps.lemonade.url + to.path;
    const query = await queryOf(request.url);
    const headers = headersFor(request);
    const upstream = new WebSocket(target.replace(/^http/, "ws") + query, {
      headers,
      ...protocolsOf(request),
    });
    upstream.binaryType = "nodebuffer";
    await opened(upstream, request.signal, target);
    return upstream;
  };

  const queryOf = async (url: string): Promise<string> => {
    const query = queryForLemond(url);
    const asked = queryValue(query, "model");
    const model = asked === null ? null : await deps.modelAtLemond(asked);
    return model === null ? query : withQueryValue(query, "model", model);
  };

  const headersFor = (request: Request): Record<string, string> => {
    const { instance, lemonade } = deps;
    const headers = requestHeaders(request.headers, { key: null, wantsStream: false, instance });
    const passing = [...headers].filter(([name]) => !HANDSHAKE.test(name));
    return { ...Object.fromEntries(passing), ...lemonade.keyHeaders };
  };

  const join = (upstream: WebSocket): SocketHandlers => {
    let client: ClientSocket | null = null;
    /** What came before the client's side was open. */
    let early: (string | Buffer)[] = [];
    let isOver = false;

    const end = (code: number, reason: string): void => {
      if (isOver) return;
      isOver = true;
      joined.delete(end);
      closeWith(code, reason, { close: (...how) => client?.close(...how), terminate: () => client?.terminate() });
      closeWith(code, reason, { close: (...how) => upstream.close(...how), terminate: () => upstream.terminate() });
    };
    joined.add(end);

    const toClient = (message: string | Buffer): void => {
      if (!client) return void early.push(message);
      // 0: dropped, since the server's limit of unread bytes (app.ts) was reached.
      if (client.send(message) === 0) end(TRY_AGAIN_LATER, "not read");
    };
    upstream.addEventListener("message", ({ data }) => toClient(data));
    upstream.addEventListener("close", ({ code, reason }) => end(code, reason));

    return {
      open: (socket) => {
        client = socket;
        if (isOver) return socket.close(STOPPING);
        for (const message of early) toClient(message);
        early = [];
      },
      message: (socket, message) => {
        const reply = typeof message === "string" ? authReply(message, deps.keys()) : null;
        if (reply !== null) return void socket.send(reply);
        upstream.send(message);
        if (upstream.bufferedAmount > MOST_UNREAD_BYTES) end(TRY_AGAIN_LATER, "not read");
      },
      close: (_, code, reason) => end(code, reason),
    };
  };

  return {
    open: async (to, request, requestId, upgrade) => {
      const tell = (status: number): void => {
        const target = deps.lemonade.url + to.path;
        deps.metrics.requestEnded("lemonade", "socket", status);
        deps.log.info("dispatch.decision", {
          request_id: requestId,
          route: "socket",
          upstream: "lemonade",
          target,
          status,
        });
      };
      try {
        const upstream = await dial(to, request);
        const headers = new Headers(upstream.protocol === "" ? {} : { "sec-websocket-protocol": upstream.protocol });
        if (!upgrade(join(upstream), headers)) throw noHandshake(upstream);
        tell(UPGRADED);
      } catch (error) {
        tell(error instanceof DispatchError ? error.status : 500);
        throw error;
      }
    },
    get count() {
      return joined.size;
    },
    close: () => {
      for (const end of joined) end(STOPPING, "the server stops");
    },
  };
}

interface Side {
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** Closes with the code, unless it is one that cannot be sent. */
function closeWith(code: number, reason: string, side: Side): void {
  if (code === ABNORMAL) side.terminate();
  else if (code === NO_CODE) side.close();
  else side.close(code, reason);
}

/** The client's subprotocols but for the one that is its key. */
function protocolsOf({ headers }: Request): { protocols?: string[] } {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((one) => one.trim());
  const protocols = offered.filter((one) => one !== "" && !one.startsWith("bearer."));
  return protocols.length > 0 ? { protocols } : {};
}

/** Resolves when lemond has accepted. */
function opened(upstream: WebSocket, client: AbortSignal, target: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(refused(target, "no answer in time")), DIAL_MS);
  upstream.addEventListener("open", () => resolve());
  upstream.addEventListener("error", (event) => reject(refused(target, causeIn(event))));
  client.addEventListener("abort", () => reject(refused(target, "the client left")), { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    if (upstream.readyState !== WebSocket.OPEN) upstream.terminate();
  });
}

/** Bun says "… failed: Expected 101 status code: 401"; the URL before it has a query in it. */
const causeIn = (event: Event): string => {
  const message = "message" in event && typeof event.message === "string" ? event.message : "";
  const status = /status code: (\d{3})/.exec(message)?.[1];
  return status === undefined ? "no connection" : `refused with status ${status}`;
};

function noHandshake(upstream: WebSocket): DispatchError {
  upstream.close();
  return new DispatchError("request.invalid", "This is no WebSocket handshake.", { path: "headers.upgrade" });
}

function refused(target: string, cause: string): DispatchError {
  const details = { upstream: "lemonade", target, error: "ConnectError", cause };
  return new DispatchError("dispatch.upstream_unavailable", `lemond gave no socket at ${target}: ${cause}.`, details);
}
