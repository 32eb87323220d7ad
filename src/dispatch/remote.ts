// OpenAI-compatible upstreams elsewhere: one attempt, no gate, no repair, no state but how many requests are under way.
import { attempt, type Connection, cut, openConnection } from "./attempt.ts";
import type { RemoteConfig } from "../config/config.ts";
import { all, createTable, nextNumber, put, remove } from "../slots/table.ts";
import { type Call, type Sent, targetOf } from "./call.ts";

export interface Remote {
  readonly name: string;
  readonly config: RemoteConfig;
  readonly inFlight: number;
  /** Ends all requests under way: the server stops. */
  cut(): void;
  send(call: Call): Promise<Sent>;
}

export function createRemote(config: RemoteConfig, firstByteTimeoutMs: () => number): Remote {
  const connections = createTable<Connection>();
  let lastId = 0;
  return {
    name: config.name,
    config,
    get inFlight() {
      return connections.size;
    },
    cut: () => {
      for (const connection of all(connections))
        cut(connection, { kind: "lost", error: "RemoteProtocolError", cause: "stopping" });
    },
    send: async (call) => {
      const connection = openConnection(call.client);
      const id = nextNumber(connections, lastId);
      lastId = id;
      put(connections, id, connection);
      const end = (): void => void remove(connections, id);
      const target = targetOf(config.url, call.path);
      const dial = { url: target, firstByteTimeoutMs: firstByteTimeoutMs(), objection: null };
      const outcome = await attempt(call, dial, connection);
      if (outcome.kind !== "reply" || !("source" in outcome)) end();
      return { outcome, label: null, target, headers: {}, end };
    },
  };
}
