// Recognises lemond's errors for a lost child, which mean that a request sent through lemond is lost. Pure.
import * as v from "valibot";

/** lemond 10.6 says the first, and the second in a stream; 11.7 the others. */
const LOST = ["network_error", "streaming_error", "backend_unavailable", "backend_watchdog_reset", "model_not_loaded"];

const Failed = v.object({
  error: v.union([
    v.string(),
    v.object({
      type: v.optional(v.unknown()),
      code: v.optional(v.unknown()),
      details: v.optional(v.object({ code: v.optional(v.unknown()) })),
    }),
  ]),
});
/** The same on Ollama's routes, where an error is its text alone. */
const LOST_TEXT =
  /^(?:Network error: |No model loaded: |Backend for model '.*' (?:is unavailable|crashed)|.* has been reset by the backend watchdog)/;
/** A longer reply is not such an error. */
const MOST_BYTES = 16 * 1024;

/** A whole JSON body, or the first event of a stream (`data: {"error":…}`). */
export function isLostAtLemond(bytes: Uint8Array): boolean {
  if (bytes.length > MOST_BYTES) return false;
  const text = new TextDecoder().decode(bytes).trim();
  const [first = ""] = text.startsWith("data:") ? text.slice("data:".length).split(/\r?\n/) : [text];
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Failed), first);
  if (!parsed.success) return false;
  const { error } = parsed.output;
  if (typeof error === "string") return LOST_TEXT.test(error);
  const { type, code, details } = error;
  return [type, code, details?.code].some((word) => typeof word === "string" && LOST.includes(word));
}
