// OpenAI-compatible upstreams elsewhere: one attempt, no gate, no repair, no state but how many requests are under way.
import { attempt, type Ended } from "./attempt.ts";
import type { RemoteConfig } from "../config/config.ts";
import type { Call, Sent } from "./call.ts";

export interface Remote {
  readonly name: string;
  readonly config: RemoteConfig;
  readonly inFlight: number;
  /** Ends all requests under way: the server stops. */
  cut(): void;
  send(call: Call): Promise<Sent>;
}

export function createRemote(config: RemoteConfig, firstByteTimeoutMs: () => number): Remote {
  const cuts = new Set<(ended: Ended) => void>();
  return {
    name: config.name,
    config,
    get inFlight() {
      return cuts.size;
    },
    cut: () => {
      for (const cut of cuts) cut({ kind: "lost", error: "RemoteProtocolError", cause: "stopping" });
    },
    send: async (call) => {
      let cutThis: (ended: Ended) => void = () => {};
      const cut = (ended: Ended): void => cutThis(ended);
      cuts.add(cut);
      const end = (): void => void cuts.delete(cut);
      const target = call.url(config.url);
      const outcome = await attempt(call, {
        url: target,
        firstByteTimeoutMs: firstByteTimeoutMs(),
        objection: null,
        onStart: (cut) => {
          cutThis = cut;
        },
      });
      if (outcome.kind !== "reply" || !("source" in outcome)) end();
      return { outcome, label: null, target, headers: {}, end };
    },
  };
}
