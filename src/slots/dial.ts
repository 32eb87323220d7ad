// One attempt of a request at the slot's child of now: never at a process that is gone, never at another model's port.
import { attempt, type LossCause } from "../dispatch/attempt.ts";
import type { Call, Sent } from "../dispatch/call.ts";
import type { Child } from "./child.ts";
import type { Flights } from "./flights.ts";
import type { Lemonade } from "../lemonade/lemonade.ts";
import type { Probe } from "../lemonade/probe.ts";
import type { State } from "./state.ts";

export interface DialDeps {
  readonly state: State;
  readonly flights: Flights;
  readonly lemonade: Lemonade;
  readonly probe: Probe;
  readonly firstByteTimeoutMs: () => number;
  /** Two models are listed at that URL: a process that lives may have lost its port to the other. */
  readonly isShared: (url: string) => boolean;
  /** A stream of that child broke off after its first byte. */
  readonly onInterrupted: (child: Child, cause: LossCause, requestId: string) => void;
}

export function createDial(deps: DialDeps) {
  const { state, flights, lemonade, probe, firstByteTimeoutMs, isShared, onInterrupted } = deps;
  /** Why a child must not be dialled whose process does not vouch for its port: that may be another model's by now. */
  const objectionTo = async (url: string, checkpoint: string, limit: AbortSignal): Promise<LossCause | null> => {
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

  return async (call: Call): Promise<Sent> => {
    const { child } = state;
    const target = child ? call.url(child.url) : lemonade.url;
    const sent = { label: null, target, headers: {}, end: () => {} };
    if (!child) return { ...sent, outcome: { kind: "lost", error: "ConnectError", cause: "evicted" } };
    const { url, checkpoint, process } = child;
    if (process && !process.isAlive())
      return { ...sent, outcome: { kind: "lost", error: "ConnectError", cause: "pid gone" } };
    const flight = flights.begin(child);
    const outcome = await attempt(call, {
      url: target,
      firstByteTimeoutMs: firstByteTimeoutMs(),
      objection:
        (process && !isShared(url)) || checkpoint === null ? null : (limit) => objectionTo(url, checkpoint, limit),
      onStart: (cut) => {
        flight.cut = cut;
      },
    });
    if (outcome.kind !== "reply" || !("source" in outcome)) {
      flight.end();
      return { ...sent, outcome };
    }
    const end = (interruption: LossCause | null): void => {
      flight.end();
      if (interruption) onInterrupted(child, interruption, call.requestId);
    };
    return { ...sent, outcome, end };
  };
}
