// A client that shows what came over the wire: every read with its time, and whether the end was FIN or RST.
import { connect, type Socket } from "node:net";

export interface RawReply {
  readonly status: number;
  /** `Name: value` lines, in their order. */
  readonly headers: readonly string[];
  /** Decoded from chunks. */
  readonly body: string;
  /** One per chunk of the transfer coding. */
  readonly chunks: readonly string[];
  readonly isComplete: boolean;
}

export interface RawConnection {
  readonly text: () => string;
  readonly end: Promise<"FIN" | "RST">;
  /** Resolves with all text so far, once it holds `part`. */
  until(part: string): Promise<string>;
  send(text: string): void;
  /** Reads nothing from now on. */
  pause(): void;
  close(): void;
}

export async function openRaw(port: number): Promise<RawConnection> {
  const socket: Socket = connect({ host: "127.0.0.1", port });
  let text = "";
  let waiting: (() => void)[] = [];
  const tell = (): void => {
    for (const waiter of waiting.splice(0)) waiter();
  };
  const end = new Promise<"FIN" | "RST">((resolve) => {
    let isReset = false;
    socket.on("error", () => (isReset = true));
    socket.on("close", () => {
      resolve(isReset ? "RST" : "FIN");
      tell();
    });
  });
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
    tell();
  });
  await new Promise<void>((resolve) => {
    socket.once("connect", resolve);
    socket.once("error", () => resolve());
  });
  return {
    text: () => text,
    end,
    async until(part) {
      while (!text.includes(part)) {
        if (socket.destroyed) throw new Error(`closed before ${JSON.stringify(part)}: ${JSON.stringify(text)}`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return text;
    },
    send: (what) => void socket.write(what),
    pause: () => void socket.pause(),
    close: () => void socket.destroy(),
  };
}

export function requestText(method: string, target: string, headers: readonly string[], body: string): string {
  const length = body !== "" ? [`Content-Length: ${Buffer.byteLength(body)}`] : [];
  return [`${method} ${target} HTTP/1.1`, "Host: 127.0.0.1", ...headers, ...length, "", body].join("\r\n");
}

/** One request on a connection of its own, kept alive unless a header says otherwise. */
export async function rawRequest(port: number, text: string): Promise<RawReply> {
  const connection = await openRaw(port);
  connection.send(text);
  const isHead = text.startsWith("HEAD");
  const head = await connection.until("\r\n\r\n");
  if (!isHead && /^transfer-encoding: chunked/im.test(head)) await connection.until("\r\n0\r\n\r\n");
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  const from = connection.text().indexOf("\r\n\r\n") + 4;
  while (!isHead && connection.text().length - from < length) await connection.until("").then(() => Bun.sleep(1));
  connection.close();
  return parseReply(connection.text());
}

export function parseReply(text: string): RawReply {
  const at = text.indexOf("\r\n\r\n");
  const [first = "", ...headers] = text.slice(0, at).split("\r\n");
  const raw = text.slice(at + 4);
  const isChunked = headers.some((line) => /^transfer-encoding: chunked/i.test(line));
  const { chunks, isComplete } = isChunked ? unchunk(raw) : { chunks: [utf8(raw)], isComplete: true };
  return { status: Number(first.split(" ")[1]), headers, body: chunks.join(""), chunks, isComplete };
}

const utf8 = (latin1: string): string => Buffer.from(latin1, "latin1").toString("utf8");

function unchunk(raw: string): { readonly chunks: readonly string[]; readonly isComplete: boolean } {
  const chunks: string[] = [];
  let rest = raw;
  while (rest.includes("\r\n")) {
    const line = rest.indexOf("\r\n");
    const size = Number.parseInt(rest.slice(0, line), 16);
    if (size === 0) return { chunks, isComplete: true };
    chunks.push(utf8(rest.slice(line + 2, line + 2 + size)));
    rest = rest.slice(line + 2 + size + 2);
  }
  return { chunks, isComplete: false };
}
