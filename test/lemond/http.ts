// A raw HTTP/1.1 server that can do what real ones do wrong: reset, cut a chunk, fall silent, close without saying so.
// This file: the listener and who is served. One connection is `http-peer.ts`; what to answer is the caller's.
import { createPeer, type Exchange, type Peer } from "./http-peer.ts";

export interface ServerOptions {
  readonly port: number;
  readonly onExchange: (exchange: Exchange) => void;
  /** False: the connection is reset at once. */
  readonly onOpen?: () => boolean;
  readonly idleMs: number;
  /** Connections served at once; later ones wait unread. */
  readonly workers?: number;
}

export interface HttpServer {
  readonly port: number;
  readonly open: number;
  /** Stop listening; connections live on. */
  close(): void;
  /** Stop listening, end every connection. */
  destroy(how: "fin" | "rst"): void;
  /** Close the connections that are between requests. */
  closeIdle(): void;
}

export function serveHttp(options: ServerOptions): HttpServer {
  const peers = new Set<Peer>();
  const waiting: Peer[] = [];
  let connections = 0;

  /** Those that have a worker. */
  const served = new Set<Peer>();
  const release = (peer: Peer): void => {
    if (!served.delete(peer)) return;
    const next = waiting.shift();
    if (next === undefined) return;
    served.add(next);
    next.start();
  };
  const leave = (peer: Peer): void => {
    peers.delete(peer);
    const at = waiting.indexOf(peer);
    if (at >= 0) waiting.splice(at, 1);
    release(peer);
  };

  const listener = Bun.listen<{ peer: Peer | null }>({
    hostname: "127.0.0.1",
    port: options.port,
    // Without it Bun sets SO_REUSEPORT and two servers share a port without a word.
    exclusive: true,
    data: { peer: null },
    socket: {
      open(socket) {
        if (options.onOpen?.() === false) {
          socket.data = { peer: null };
          socket.terminate();
          return;
        }
        socket.setNoDelay(true);
        connections += 1;
        const peer: Peer = createPeer(socket, connections, { ...options, onUpgrade: () => release(peer) });
        socket.data = { peer };
        peers.add(peer);
        if (served.size < (options.workers ?? Infinity)) {
          served.add(peer);
          peer.start();
        } else waiting.push(peer);
      },
      data: (socket, bytes) => socket.data.peer?.feed(bytes),
      drain: (socket) => socket.data.peer?.drained(),
      close(socket) {
        const peer = socket.data.peer;
        if (peer === null) return;
        socket.data.peer = null;
        peer.gone();
        leave(peer);
      },
      // `close` follows and does the work.
      error() {},
    },
  });

  return {
    port: listener.port,
    get open() {
      return peers.size;
    },
    close: () => listener.stop(false),
    destroy(how) {
      listener.stop(false);
      for (const peer of [...peers]) peer.end(how);
    },
    closeIdle() {
      for (const peer of [...peers]) if (peer.isIdle) peer.end("fin");
    },
  };
}
