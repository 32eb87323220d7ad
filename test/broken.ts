// A stream of a remote that is lost at a point that the test chooses: no time is waited for.
import { expect } from "bun:test";
import { startRemote } from "./remote.ts";
import { startStack } from "./stack.ts";

export const farAt = (url: string) => ({ upstreams: [{ name: "far", url, apiKey: null, models: ["far/*"] }] });

/** A chunked reply without its last chunk. */
export function reply(type: string, sent: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(sent);
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  return Buffer.concat([Buffer.from(`${head}${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

export interface Break {
  readonly sent: string | Uint8Array;
  /** Bytes that the client has when the upstream is lost; the others came, and stay behind. */
  readonly shown?: number;
  readonly path?: string;
  readonly type?: string;
  readonly how?: "fin" | "rst";
}

export const FAILED = "the transport failed";

/** A stream of an upstream that is lost once the client has what it may have. `stack` is closed, its log is there. */
export async function brokenOff({
  sent,
  shown = sent.length,
  path = "/v1/chat/completions",
  type = "text/event-stream",
  how = "fin",
}: Break) {
  await using remote = await startRemote(reply(type, sent), { staysOpen: true });
  await using stack = await startStack(farAt(remote.url));
  const response = await stack.post(path, { model: "far/m", stream: true });
  expect(response.status).toBe(200);
  const reader = response.body?.getReader();
  if (!reader) throw new Error("no body");
  const rest: Uint8Array[] = [];
  let bytes = 0;
  const take = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    if (value) rest.push(value);
    bytes += value?.length ?? 0;
    return !done;
  };
  while (bytes < shown && (await take()));
  const before = Buffer.concat(rest.splice(0)).toString();
  remote.cut(how);
  const isWhole = await (async () => {
    while (await take());
    return true;
  })().catch(() => false);
  expect(remote.requests.length).toBe(1);
  return { before, after: isWhole ? Buffer.concat(rest).toString() : FAILED, stack };
}
