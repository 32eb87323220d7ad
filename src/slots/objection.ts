// Why a child is not dialled whose port may be another model's by now: the port is asked who is there.
import type { LossCause } from "../dispatch/attempt.ts";
import type { Probe } from "../lemonade/probe.ts";
import type { Child } from "./known.ts";

/** What to ask before the dial; it resolves with the cause not to dial, or null. Null where the child cannot be asked. */
export function objectionTo(
  probe: Probe,
  { url, checkpoint }: Child,
): ((limit: AbortSignal) => Promise<LossCause | null>) | null {
  if (checkpoint === null) return null;
  return async (limit) => {
    const sign = await probe.identity(url, checkpoint, limit);
    switch (sign) {
      case "ok":
      case "silent":
        return null;
      case "stranger":
        return "moved";
      default:
        return sign;
    }
  };
}
