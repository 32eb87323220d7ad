// An upstream whose replies are large: it sends as fast as it is read, and counts what it has sent.

export interface Flood extends AsyncDisposable {
  readonly url: string;
  readonly sentBytes: number;
}

const PIECE = new Uint8Array(64 * 1024).fill(120);

/** Replies of so many bytes in chunks, or with a length; `{"small":true}` in the request asks for two bytes. */
export function startFlood(bytes: number, hasLength: boolean): Flood {
  let sentBytes = 0;
  const pump = (socket: Bun.Socket<Left>): void => {
    while (socket.data.left.length > 0) {
      const [next] = socket.data.left;
      if (!next) return;
      const written = Math.max(0, socket.write(next));
      sentBytes += written;
      if (written < next.length) {
        socket.data.left[0] = next.subarray(written);
        return;
      }
      socket.data.left.shift();
    }
    socket.end();
  };
  const listener = Bun.listen<Left>({
    hostname: "127.0.0.1",
    port: 0,
    data: { left: [] },
    socket: {
      open: (socket) => {
        socket.data = { left: [] };
      },
      data: (socket, request) => {
        const isSmall = Buffer.from(request).includes('"small"');
        socket.data.left = isSmall ? [Buffer.from(SMALL)] : large(bytes, hasLength);
        pump(socket);
      },
      drain: pump,
      error() {},
    },
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    get sentBytes() {
      return sentBytes;
    },
    [Symbol.asyncDispose]: async () => {
      listener.stop(true);
    },
  };
}

interface Left {
  left: Uint8Array[];
}

const SMALL = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

function large(bytes: number, hasLength: boolean): Uint8Array[] {
  const length = hasLength ? `Content-Length: ${bytes}` : "Transfer-Encoding: chunked";
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${length}\r\n\r\n`);
  const count = bytes / PIECE.length;
  if (hasLength) return [head, ...Array.from({ length: count }, () => PIECE)];
  const chunk = Buffer.concat([Buffer.from(`${PIECE.length.toString(16)}\r\n`), PIECE, Buffer.from("\r\n")]);
  return [head, ...Array.from({ length: count }, () => chunk), Buffer.from("0\r\n\r\n")];
}
