// An answer of lemond's onto the wire, headers in the order of the recordings.
import type { Answer } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";
import { bareHead, plainHead } from "./personality-heads.ts";
import type { Personality } from "./personality.ts";

export async function sendPlain(exchange: Exchange, personality: Personality, answer: Answer): Promise<void> {
  const { status, body, contentType } = answer;
  // 11.7 closes after an error and says so; 10.6 does neither.
  const mustClose = exchange.mustClose || (personality.version === "11.7" && status >= 400);
  const isBare = exchange.method === "HEAD" || status === 204;
  if (isBare) await exchange.write(bareHead(personality, status, mustClose));
  else if (body instanceof Uint8Array) {
    const origin = exchange.headers["origin"];
    await exchange.write(plainHead(personality, { status, bodyBytes: body.length, mustClose, origin, contentType }));
    await exchange.write(body);
  } else {
    const text = typeof body === "string" ? body : JSON.stringify(sorted(body));
    const origin = exchange.headers["origin"];
    await exchange.write(
      plainHead(personality, { status, bodyBytes: Buffer.byteLength(text), mustClose, origin, contentType }) + text,
    );
  }
  exchange.finish(mustClose);
}

/** nlohmann::json prints its keys in order. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
