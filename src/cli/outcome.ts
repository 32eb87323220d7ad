// How a command ends that cannot go on: one line for each fault on stderr, and an exit code.
import type { Flags } from "./args.ts";
import { loadConfig, type Loaded } from "../config/config.ts";
import { systemFiles } from "../config/files.ts";
import { ownHosts } from "../config/machine.ts";

/** 1: failed at run time. 2: configuration or usage. */
export function fail(code: 1 | 2, ...lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`hal0-dispatch: ${line}\n`);
  process.exit(code);
}

/** The configuration of this process: its flags, its environment, the files of the system. */
export const readConfig = (flags: Flags): Loaded =>
  loadConfig({ ...systemFiles, ownHosts, args: flags, env: process.env });

export function readOrFail(flags: Flags): Extract<Loaded, { ok: true }> {
  const loaded = readConfig(flags);
  return loaded.ok ? loaded : fail(2, ...loaded.faults);
}
