// OpenAI-compatible upstreams elsewhere: one attempt, no gate, no repair, no state but how many requests are under way.
import { attempt } from "./attempt.ts";
import type { RemoteConfig } from "./config.ts";
import type { Call, Sent } from "./call.ts";

export interface Remote {
  readonly config: RemoteConfig;
  readonly inFlight: number;
  send(call: Call): Promise<Sent>;
}

export function createRemote(config: RemoteConfig, firstByteTimeoutMs: () => number): Remote {
  let inFlight = 0;
  return {
    config,
    get inFlight() {
      return inFlight;
    },
    send: async (call) => {
      inFlight++;
      let isOver = false;
      const end = (): void => {
        if (!isOver) inFlight--;
        isOver = true;
      };
      const target = call.url(config.url);
      const outcome = await attempt({
        url: target,
        method: call.method,
        headers: call.headers,
        body: call.body,
        wantsStream: call.wantsStream,
        firstByteTimeoutMs: firstByteTimeoutMs(),
        client: call.client,
        objection: null,
        onStart: () => {},
      });
      if (outcome.kind !== "reply" || !("source" in outcome)) end();
      return { outcome, label: null, target, headers: {}, end };
    },
  };
}
