// A remote upstream on a raw socket: it reads a whole request and answers with the bytes it was given, then closes.
import { createParser, type Incoming } from "./lemond/http-parser.ts";

export interface RemoteStandIn extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly (Pick<Incoming, "method" | "headers" | "body"> & { readonly path: string })[];
  /** Connections open now. */
  readonly open: number;
  /** Closes every connection, where it stands. */
  cut(how: "fin" | "rst"): void;
}

export const OK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/** `answer` is a whole HTTP reply, or what is given for each request; null says nothing and keeps the connection. */
export async function startRemote(
  answer: string | Uint8Array | ((request: Incoming) => string | Uint8Array | null) = OK,
  { staysOpen = false } = {},
): Promise<RemoteStandIn> {
  const requests: RemoteStandIn["requests"][number][] = [];
  const open = new Set<Bun.Socket<Peer>>();
  const listener = Bun.listen<Peer>({
    hostname: "127.0.0.1",
    port: 0,
    data: { feed: () => {}, left: new Uint8Array(), staysOpen },
    socket: {
      open(socket) {
        open.add(socket);
        const parser = createParser({
          onRequest: (request) => {
            const { method, target, headers, body } = request;
            requests.push({ method, path: target, headers, body });
            const reply = typeof answer === "function" ? answer(request) : answer;
            if (reply === null) return;
            socket.data.left = Buffer.from(reply);
            send(socket);
          },
          onContinue: () => {},
          onError: () => socket.end(),
        });
        socket.data = { feed: parser.feed, left: new Uint8Array(), staysOpen };
      },
      data: (socket, bytes) => socket.data.feed(bytes),
      drain: send,
      close: (socket) => void open.delete(socket),
      error() {}, // `close` follows.
    },
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    requests,
    get open() {
      return open.size;
    },
    cut: (how) => {
      for (const socket of open) how === "fin" ? socket.end() : socket.terminate();
    },
    [Symbol.asyncDispose]: async () => {
      listener.stop(true);
    },
  };
}

interface Peer {
  feed: (bytes: Uint8Array) => void;
  left: Uint8Array;
  readonly staysOpen: boolean;
}

function send(socket: Bun.Socket<Peer>): void {
  const { left } = socket.data;
  if (left.length === 0) return;
  socket.data.left = left.subarray(Math.max(0, socket.write(left)));
  if (socket.data.left.length === 0 && !socket.data.staysOpen) socket.end();
}
