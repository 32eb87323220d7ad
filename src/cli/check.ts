// `--check`: is the configuration right, and what is in force? Reads dispatch.env too, as the service's unit does.
import { type ConfigSources, loadConfig } from "../config/config.ts";
import { describeConfig } from "../config/describe.ts";
import { serviceEnvironment } from "../config/environment.ts";
import type { Flags } from "./args.ts";

export interface CheckIo extends Omit<ConfigSources, "args"> {
  out(text: string): void;
  err(text: string): void;
}

/** Exit code: 0 if the configuration is right, else 1. */
export function runCheck(flags: Flags, io: CheckIo): 0 | 1 {
  const say = (line: string): void => io.err(`hal0-dispatch: ${line}\n`);
  const service = serviceEnvironment(io.readFile);
  // Where systemd runs the check (a reload), it has put what is in that file into the environment already.
  if (service.fault !== null && io.env["INVOCATION_ID"] === undefined)
    say(`${service.fault}; only the environment counts`);
  const loaded = loadConfig({ ...io, args: flags, env: { ...service.env, ...io.env } });
  if (loaded.ok) io.out(`${describeConfig(loaded.config)}\n`);
  else for (const fault of loaded.faults) say(fault);
  return loaded.ok ? 0 : 1;
}
