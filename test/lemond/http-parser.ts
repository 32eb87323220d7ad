// Request bytes in, whole requests out: Content-Length and chunked bodies, Expect: 100-continue, several in one read.

export interface Incoming {
  readonly method: string;
  /** As it came, with its query. */
  readonly target: string;
  /** Without the query. */
  readonly path: string;
  /** Lower-case names; repeated ones joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Parser {
  feed(bytes: Uint8Array): void;
  /** A request has begun and is not complete. */
  isInside(): boolean;
}

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function createParser(on: {
  readonly onRequest: (incoming: Incoming) => void;
  readonly onContinue: () => void;
  readonly onError: () => void;
}): Parser {
  let head: Head | undefined;
  let pending: Buffer = Buffer.alloc(0);
  let body: Buffer[] = [];
  /** Of a Content-Length body, or of the chunk at hand. */
  let missing = 0;
  let state: "head" | "length" | "chunk-size" | "chunk" | "chunk-end" | "trailer" | "broken" = "head";

  const take = (bytes: number): Buffer => {
    const taken = pending.subarray(0, bytes);
    pending = pending.subarray(bytes);
    return taken;
  };
  const line = (): string | undefined => {
    const at = pending.indexOf("\r\n");
    if (at < 0) return undefined;
    const text = take(at).toString("latin1");
    take(2);
    return text;
  };
  const complete = (): void => {
    const done = head;
    const whole = body.length === 1 && body[0] !== undefined ? body[0] : Buffer.concat(body);
    head = undefined;
    body = [];
    state = "head";
    if (done !== undefined) on.onRequest({ ...done, path: done.target.split("?")[0] ?? "", body: whole });
  };

  /** One step; false when more bytes are needed. */
  const step = (): boolean => {
    if (state === "head") {
      const at = pending.indexOf("\r\n\r\n");
      if (at < 0) return false;
      head = parseHead(take(at).toString("latin1"));
      take(4);
      if (head === undefined) {
        state = "broken";
        on.onError();
        return false;
      }
      if (head.headers["expect"]?.toLowerCase() === "100-continue") on.onContinue();
      if (head.headers["transfer-encoding"]?.toLowerCase().includes("chunked") === true) {
        state = "chunk-size";
        return true;
      }
      missing = Number(head.headers["content-length"] ?? 0);
      state = "length";
      if (missing === 0) complete();
      return true;
    }
    if (state === "length" || state === "chunk") {
      if (pending.length === 0) return false;
      const part = take(Math.min(missing, pending.length));
      body.push(part);
      missing -= part.length;
      if (missing > 0) return false;
      if (state === "chunk") state = "chunk-end";
      else complete();
      return true;
    }
    if (state === "broken") return false;
    const text = line();
    if (text === undefined) return false;
    if (state === "chunk-end") state = "chunk-size";
    else if (state === "chunk-size") {
      missing = Number.parseInt(text, 16);
      state = missing > 0 ? "chunk" : "trailer";
    } else if (text === "") complete();
    return true;
  };

  return {
    isInside: () => head !== undefined || pending.length > 0,
    feed(bytes) {
      pending = pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([pending, bytes]);
      while (step());
    },
  };
}

function parseHead(text: string): Head | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const [method, target, protocol] = first.split(" ");
  if (method === undefined || target === undefined || protocol?.startsWith("HTTP/1.") !== true) return undefined;
  const headers: Record<string, string> = {};
  for (const item of lines) {
    const colon = item.indexOf(":");
    const name = item.slice(0, colon).trim().toLowerCase();
    const value = item.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { method, target, headers };
}
