// What a client says in a socket to prove itself. lemond would check the key against its own; here it is checked against ours,
// and goes no further. Pure but for hashing.
import { isOneOf } from "../http/admission.ts";

/** A longer message without the word "auth" in it is audio, and is not parsed. */
const SHORT = 64 * 1024;

/** The answer to `{"type":"auth","token":…}` in lemond's own words; null for any other message. */
export function authReply(message: string, keys: readonly string[]): string | null {
  if (message.length > SHORT && !message.includes("auth")) return null;
  const said = parsed(message);
  if (said === null || said["type"] !== "auth") return null;
  const token = said["token"] || said["api_key"];
  const key = typeof token === "string" ? token.replace(/^Bearer /, "") : null;
  if (keys.length === 0 || isOneOf(key, keys)) return JSON.stringify({ type: "auth.ok" });
  return JSON.stringify({ type: "error", error: { message: "Invalid API key", type: "invalid_request_error" } });
}

function parsed(message: string): Readonly<Record<string, unknown>> | null {
  if (!/^\s*\{/.test(message)) return null;
  try {
    return JSON.parse(message);
  } catch {
    return null; // lemond answers invalid JSON itself.
  }
}
