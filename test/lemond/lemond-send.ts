// An answer of lemond's onto the wire, headers in the order of the recordings.
import type { Answer } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";
import { bareHead, plainHead } from "./personality-heads.ts";
import { sorted, type Personality } from "./personality.ts";

export async function sendPlain(exchange: Exchange, personality: Personality, answer: Answer): Promise<void> {
  const { status, body, contentType } = answer;
  // 11.7 closes after an error and says so; 10.6 does neither.
  const mustClose = exchange.mustClose || (personality.version === "11.7" && status >= 400);
  const isBare = exchange.method === "HEAD" || status === 204;
  if (isBare) await exchange.write(bareHead(personality, status, mustClose));
  else {
    const text = typeof body === "string" ? body : JSON.stringify(sorted(body));
    const origin = exchange.headers["origin"];
    await exchange.write(
      plainHead(personality, { status, bodyBytes: Buffer.byteLength(text), mustClose, origin, contentType }) + text,
    );
  }
  exchange.finish(mustClose);
}
