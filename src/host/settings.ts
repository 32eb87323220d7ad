// The configuration and the variables with which a service is installed: as they are, or opened to the network. Reads them
// below a root, refuses what the service would refuse, and never shows a key.
import { readdirSync, readFileSync } from "node:fs";
import type { Flags } from "../cli/args.ts";
import { loadConfig, type Loaded } from "../config/config.ts";
import { readEnvironment } from "../config/environment.ts";
import { ownHosts } from "../config/machine.ts";
import { isLoopback } from "../http/loopback.ts";
import { whereKeysAre, withEveryAddress, withKey } from "./lan.ts";
import * as layout from "./layout.ts";
import type { Placing } from "./placing.ts";
import { RefusedError } from "./steps.ts";

export interface Settings {
  readonly toml: string;
  readonly environment: string;
  /** The key that was made, or where the existing one is. */
  readonly key: string;
}

/** The files as they are, or the text that install writes where one is missing. */
export function presentSettings(placing: Placing): Settings {
  const environment = placing.read(layout.ENVIRONMENT) ?? layout.environmentText(!placing.exists(layout.FOLDER));
  const toml = placing.read(layout.CONFIG) ?? layout.configText();
  return { toml, environment, key: whereKeysAre(readEnvironment(environment)) };
}

/** The same, with an address that the network reaches and a key added if either is missing. */
export function openedSettings(placing: Placing, present: Settings, makeKey: () => string): Settings {
  // Whether there is a key is asked first: without one the address could not be opened.
  const { server } = accepted(load(placing, present, { allowAnonymous: true }));
  const toml = isLoopback(server.host) ? withEveryAddress(present.toml) : present.toml;
  if (server.apiKeys.length > 0) return checked(placing, { ...present, toml });
  const key = makeKey();
  return checked(placing, { toml, environment: withKey(present.environment, key), key });
}

/** Throws what `hal0-dispatch --check` would say of them. */
export function checkSettings(placing: Placing, settings: Settings): void {
  accepted(load(placing, settings, {}));
}

function checked(placing: Placing, settings: Settings): Settings {
  const { host } = accepted(load(placing, settings, {})).server;
  if (!isLoopback(host)) return settings;
  throw new RefusedError([
    `the service would still listen at ${host} alone: set server.host = "0.0.0.0" where it is set now, ` +
      `or take HAL0_DISPATCH_HOST or HAL0_DISPATCH_CONFIG out of ${placing.at(layout.ENVIRONMENT)}`,
  ]);
}

function accepted(loaded: Loaded): Extract<Loaded, { ok: true }>["config"] {
  if (loaded.ok) return loaded.config;
  throw new RefusedError(["the configuration has faults, so nothing was changed:", ...loaded.faults]);
}

/** As the service will read it: nothing of the variables of this shell. */
function load(placing: Placing, { toml, environment }: Settings, args: Flags): Loaded {
  return loadConfig({
    readFile: (path) => (path === layout.CONFIG ? toml : readFileSync(placing.at(path), "utf8")),
    listFolder: (path) => readdirSync(placing.at(path)),
    ownHosts,
    args,
    env: readEnvironment(environment),
  });
}
