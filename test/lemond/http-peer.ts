// One connection of the raw server: requests in order, replies byte by byte, and an end that is FIN or RST.
import { createParser, type Incoming } from "./http-parser.ts";

export interface Exchange extends Incoming {
  readonly connection: number;
  /** 1 for the first request of its connection. */
  readonly nth: number;
  /** The client asked for it, or it was the connection's last allowed request. */
  readonly mustClose: boolean;
  readonly isGone: boolean;
  /** Runs when the connection ends before `finish` or `cut`, however late it is registered. */
  onGone(then: () => void): void;
  /** Resolves when the kernel has the bytes, or the connection is gone. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** The reply is complete; `close` sends FIN after it. */
  finish(close?: boolean): void;
  cut(how: "fin" | "rst"): void;
  /** The connection is HTTP no more: what comes from now on goes to `onBytes`, and its worker is free. */
  upgrade(onBytes: (bytes: Uint8Array) => void): Upgraded;
}

export interface Upgraded {
  /** Resolves when the kernel has the bytes, or the connection is gone. */
  write(bytes: Uint8Array): Promise<void>;
  end(how: "fin" | "rst"): void;
  /** Stop reading: the other side's bytes fill the kernel. */
  pause(): void;
  resume(): void;
}

/** Both servers: `Keep-Alive: timeout=5, max=100` (recordings 70, 71). */
const maxRequests = 100;

export interface Peer {
  write(bytes: Uint8Array): Promise<void>;
  feed(bytes: Uint8Array): void;
  drained(): void;
  gone(): void;
  start(): void;
  end(how: "fin" | "rst"): void;
  readonly isIdle: boolean;
}

export type Socket = Bun.Socket<{ peer: Peer | null }>;

/** One connection: requests one after the other, replies in their order. */
export function createPeer(
  socket: Socket,
  connection: number,
  options: {
    readonly onExchange: (exchange: Exchange) => void;
    readonly idleMs: number;
    readonly onUpgrade: () => void;
  },
): Peer {
  const { onExchange, idleMs } = options;
  let raw: ((bytes: Uint8Array) => void) | undefined;
  let isStarted = false;
  let isGone = false;
  let isAnswering = false;
  let nth = 0;
  let timer: Timer | undefined;
  let onGone: (() => void)[] = [];
  const early: Uint8Array[] = [];
  const queue: Incoming[] = [];
  /** Bytes that the kernel did not take yet, and who waits for that. */
  let backlog: Uint8Array[] = [];
  let waiters: (() => void)[] = [];
  let endAfterBacklog = false;

  const armIdle = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.end(), idleMs);
  };
  const end = (how: "fin" | "rst"): void => {
    clearTimeout(timer);
    if (how === "rst") socket.terminate();
    else if (backlog.length > 0) endAfterBacklog = true;
    else socket.end();
  };
  const flush = (): void => {
    while (backlog[0] !== undefined && !isGone) {
      const head = backlog[0];
      const written = Math.max(0, socket.write(head));
      if (written < head.length) {
        backlog[0] = head.subarray(written);
        return;
      }
      backlog.shift();
    }
    const settled = waiters;
    waiters = [];
    for (const settle of settled) settle();
    if (endAfterBacklog && !isGone) socket.end();
  };
  const write = (bytes: Uint8Array): Promise<void> => {
    if (isGone || bytes.length === 0) return Promise.resolve();
    backlog.push(bytes);
    const done = new Promise<void>((resolve) => waiters.push(resolve));
    if (backlog.length === 1) flush();
    return done;
  };
  const serveNext = (): void => {
    if (isAnswering || isGone) return;
    const incoming = queue.shift();
    if (incoming === undefined) return armIdle();
    clearTimeout(timer);
    isAnswering = true;
    nth += 1;
    onGone = [];
    const mustClose = nth >= maxRequests || incoming.headers["connection"]?.toLowerCase() === "close";
    const settle = (): boolean => {
      const isFirst = isAnswering && !isGone;
      isAnswering = false;
      onGone = [];
      return isFirst;
    };
    onExchange({
      ...incoming,
      connection,
      nth,
      mustClose,
      get isGone() {
        return isGone;
      },
      onGone(then) {
        if (isGone) then();
        else onGone.push(then);
      },
      write: (bytes) => write(typeof bytes === "string" ? Buffer.from(bytes) : bytes),
      finish(close = false) {
        if (!settle()) return;
        if (close || mustClose) end("fin");
        else serveNext();
      },
      cut(how) {
        if (settle()) end(how);
      },
      upgrade(onBytes) {
        raw = onBytes;
        clearTimeout(timer);
        options.onUpgrade();
        return { write, end, pause: () => socket.pause(), resume: () => socket.resume() };
      },
    });
  };

  const parser = createParser({
    onRequest(incoming) {
      queue.push(incoming);
      serveNext();
    },
    onContinue: () => void write(Buffer.from("HTTP/1.1 100 Continue\r\n\r\n")),
    onError: () => end("fin"),
  });

  return {
    write,
    end,
    get isIdle() {
      return !isAnswering && queue.length === 0 && !parser.isInside();
    },
    start() {
      isStarted = true;
      // A client that says nothing holds its worker for longer than an idle one (recording 70: 36 s).
      timer = setTimeout(() => socket.end(), 36_000);
      for (const bytes of early.splice(0)) parser.feed(bytes);
    },
    feed(bytes) {
      if (raw !== undefined) raw(bytes);
      else if (!isStarted) early.push(bytes);
      else {
        clearTimeout(timer);
        parser.feed(bytes);
      }
    },
    drained: flush,
    gone() {
      isGone = true;
      clearTimeout(timer);
      backlog = [];
      flush();
      const tell = onGone;
      onGone = [];
      for (const then of tell) then();
    },
  };
}
