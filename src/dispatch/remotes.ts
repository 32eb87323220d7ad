// The remotes of the configuration. One that a reload replaced is kept until its last request has ended.
import type { RemoteConfig } from "../config/config.ts";
import { createRemote, type Remote } from "./remote.ts";

export type Remotes = ReturnType<typeof createRemotes>;

export function createRemotes(configs: readonly RemoteConfig[], firstByteTimeoutMs: () => number) {
  const create = (config: RemoteConfig): Remote => createRemote(config, firstByteTimeoutMs);
  let remotes = new Map(configs.map((config) => [config.name, create(config)]));
  let leaving: Remote[] = [];

  return {
    get: (name: string): Remote | undefined => remotes.get(name),
    all: (): Remote[] => [...remotes.values()],
    inFlight: (): number => [...remotes.values(), ...leaving].reduce((sum, { inFlight }) => sum + inFlight, 0),
    configure: (next: readonly RemoteConfig[]): void => {
      const before = remotes;
      remotes = new Map(
        next.map((config) => {
          const there = before.get(config.name);
          return [config.name, there && Bun.deepEquals(there.config, config) ? there : create(config)];
        }),
      );
      const kept = new Set(remotes.values());
      leaving = [...leaving, ...before.values()].filter((remote) => !kept.has(remote) && remote.inFlight > 0);
    },
    /** Ends all requests under way: the server stops. */
    cut: (): void => {
      for (const remote of [...remotes.values(), ...leaving]) remote.cut();
    },
  };
}
