// Configurations from text: files are a record, and what becomes of them is the configuration or its faults. No tests.
import type { Flags } from "../src/cli/args.ts";
import { loadConfig, type Config, type Loaded } from "../src/config/config.ts";
import type { Files } from "../src/config/files.ts";

export const FILE = "/etc/hal0/dispatch.toml";
export const SECRET = "sk-very-secret-0123456789";

/** A file system of these files alone; `null` is a file that may not be read. */
export function filesOf(content: Readonly<Record<string, string | null>>): Files {
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code });
  };
  return {
    readFile: (path) => {
      const text = content[path];
      return text === undefined ? fail("ENOENT") : (text ?? fail("EACCES"));
    },
    listFolder: (path) => {
      const names = Object.keys(content).filter((name) => name.startsWith(`${path}/`));
      return names.length === 0 ? fail("ENOENT") : names.map((name) => name.slice(path.length + 1));
    },
  };
}

export interface Given {
  toml?: string;
  args?: Flags;
  env?: Record<string, string>;
  files?: Record<string, string | null>;
  /** Addresses and names of this machine. */
  ownHosts?: readonly string[];
}

export function load({ toml, args = {}, env = {}, files = {}, ownHosts = [] }: Given): Loaded {
  const disk = filesOf({ ...files, ...(toml !== undefined && { [FILE]: toml }) });
  return loadConfig({ args, env, ownHosts: () => ownHosts, ...disk });
}

export function configOf(given: Given): Config {
  const loaded = load(given);
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded.config;
}

export function faultsOf(given: Given): readonly string[] {
  const loaded = load(given);
  return loaded.ok ? [] : loaded.faults;
}
