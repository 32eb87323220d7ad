// What counts as lost although no connection broke: what is known before a dial, and what lemond says of its child.
import type { Lost, LossCause, Outcome } from "../dispatch/attempt.ts";
import { isLostAtLemond } from "../lemonade/lost.ts";
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

export const LOST_BY_LEMOND: Lost = { kind: "lost", error: "RemoteProtocolError", cause: "lost by lemond" };

/** lemond's own error for a lost child, as a JSON error or as the first event of a stream. */
export function isLost(outcome: Outcome): boolean {
  if (outcome.kind !== "reply") return false;
  return "source" in outcome ? isLostAtLemond(outcome.first) : outcome.status >= 400 && isLostAtLemond(outcome.body);
}

export const GONE: Lost = { kind: "lost", error: "ConnectError", cause: "pid gone" };
