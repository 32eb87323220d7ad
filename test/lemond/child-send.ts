// How a child's reply goes over the wire: headers, framing, pace, and where it breaks. It does not know what the reply says.
import type { Reply } from "./child-replies.ts";
import type { Sim } from "./child-sim.ts";
import type { Exchange } from "./http-peer.ts";
import type { DeathPoint } from "./types.ts";

export interface Sending {
  readonly exchange: Exchange;
  readonly reply: Reply;
  readonly sim: Sim;
  readonly tokens: number;
  readonly pingMs: number;
  readonly death: DeathPoint | undefined;
  /** Pends while the child is hung, wedged or draining. */
  readonly thaw: () => Promise<void>;
}

type Framing = "chunked" | "length" | "close";

const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

export function dieNow(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal arrives before the next instruction; this is for the type.
  throw new Error("still alive after SIGKILL");
}

export async function sendReply(sending: Sending): Promise<void> {
  const { exchange, reply, sim, death, thaw } = sending;
  const parts = bodyParts(sending);
  const framing: Framing = sim.closeDelimited === true ? "close" : reply.isStream ? "chunked" : "length";
  // A plain reply's headers come when the last token is there; a stream's before the prompt is read.
  const generating = reply.isStream ? 0 : (sim.firstTokenMs ?? 0) + (sim.tokenMs ?? 0) * sending.tokens;
  await sleep((sim.firstByteMs ?? 0) + generating);
  await thaw();
  if (exchange.isGone || sim.hang === true) return;
  if (death === "before-headers") dieNow();
  await exchange.write(headBytes(sending, framing, totalBytes(parts)));
  if (death === "after-headers") dieNow();

  const cut = cutOf(sending, parts);
  const frame = (part: Buffer): Buffer =>
    framing === "chunked"
      ? Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")])
      : part;
  let sent = 0;
  for (const [at, part] of parts.entries()) {
    if (reply.isStream) await pace(sending, at, frame);
    else if (sim.chunkBytes !== undefined && at > 0) await macroTask();
    await thaw();
    if (exchange.isGone) return;
    if (cut !== undefined && cut.afterBytes < sent + part.length) {
      const left = cut.afterBytes - sent;
      const begin = framing === "chunked" ? `${part.length.toString(16)}\r\n` : "";
      if (left > 0) await exchange.write(Buffer.concat([Buffer.from(begin), part.subarray(0, left)]));
      return end(exchange, cut.how);
    }
    await exchange.write(frame(part));
    sent += part.length;
  }
  if (cut !== undefined) return end(exchange, cut.how);
  if (sim.silentAtEnd === true) return;
  await thaw();
  if (framing === "chunked") {
    await exchange.write("0\r\n");
    await exchange.write("\r\n");
  }
  // After a streamed reply and after an error the connection closes; only the error says so.
  exchange.finish(framing !== "length" || reply.status >= 400);
}

function end(exchange: Exchange, how: "fin" | "rst" | "kill"): void {
  if (how === "kill") dieNow();
  exchange.cut(how);
}

function bodyParts({ reply, sim }: Sending): readonly Buffer[] {
  let parts = sim.raw === undefined ? reply.parts.map((part) => Buffer.from(part)) : [Buffer.from(sim.raw, "base64")];
  const only = parts[0];
  if (sim.bodyKb !== undefined && !reply.isStream && only !== undefined) {
    // White space before the last brace keeps it JSON.
    const padding = Buffer.alloc(Math.max(0, sim.bodyKb * 1024 - only.length), " ");
    parts = [Buffer.concat([only.subarray(0, -1), padding, only.subarray(-1)])];
  }
  if (sim.chunkBytes === undefined) return parts;
  const whole = Buffer.concat(parts);
  const pieces: Buffer[] = [];
  for (let from = 0; from < whole.length; from += sim.chunkBytes)
    pieces.push(whole.subarray(from, from + sim.chunkBytes));
  return pieces;
}

const totalBytes = (parts: readonly Buffer[]): number => parts.reduce((sum, part) => sum + part.length, 0);

function cutOf({ sim, death, reply }: Sending, parts: readonly Buffer[]) {
  if (sim.cutAfterBytes !== undefined) return { afterBytes: sim.cutAfterBytes, how: sim.cut ?? "fin" };
  if (death !== "mid-body" && death !== "mid-event") return undefined;
  const half = Math.floor(totalBytes(parts) / 2);
  const first = parts[0]?.length ?? 0;
  if (!reply.isStream || parts[1] === undefined) return { afterBytes: half, how: "kill" as const };
  const inside = Math.floor(parts[1].length / 2);
  return { afterBytes: death === "mid-event" ? first + inside : first, how: "kill" as const };
}

const preflight = [
  "Access-Control-Allow-Credentials: true",
  "Access-Control-Allow-Methods: GET, POST, DELETE, OPTIONS",
  "Access-Control-Allow-Headers: *",
];

function headBytes({ exchange, reply, sim }: Sending, framing: Framing, bodyBytes: number): string {
  const status = sim.status ?? reply.status;
  const lines = [
    `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}`,
    "Server: llama.cpp",
    `Access-Control-Allow-Origin: ${exchange.headers["origin"] ?? ""}`,
  ];
  if (exchange.method === "OPTIONS") lines.push(...preflight);
  if (framing === "chunked") lines.push("X-Accel-Buffering: no");
  lines.push(`Content-Type: ${sim.contentType ?? reply.contentType}`);
  if (framing === "chunked") lines.push("Transfer-Encoding: chunked");
  const length = framing === "length" ? [`Content-Length: ${sim.contentLength ?? bodyBytes}`] : [];
  const end = exchange.mustClose || reply.status >= 400 ? "Connection: close" : "Keep-Alive: timeout=5, max=100";
  lines.push(...(exchange.method === "OPTIONS" ? [end, ...length] : [...length, end]));
  for (const [name, value] of Object.entries(sim.headers ?? {})) lines.push(`${name}: ${value}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The time before a part of a stream, with `:` into every silence of `pingMs` (recording 72). */
async function pace(
  { exchange, sim, pingMs, thaw }: Sending,
  at: number,
  frame: (part: Buffer) => Buffer,
): Promise<void> {
  let left = (at === 0 ? sim.firstTokenMs : sim.tokenMs) ?? 0;
  for (; left > pingMs; left -= pingMs) {
    await sleep(pingMs);
    await thaw();
    if (exchange.isGone) return;
    await exchange.write(frame(Buffer.from(":\n\n")));
  }
  if (left > 0) await sleep(left);
  else if (sim.chunkBytes !== undefined && at > 0) await macroTask();
}

const sleep = (ms: number): Promise<void> => (ms > 0 ? Bun.sleep(ms) : Promise.resolve());
const macroTask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
