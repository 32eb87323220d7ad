#!/usr/bin/env bun
// argv, configuration, signals and exit codes: 0 stopped on request, 1 failed at run time, 2 configuration or usage.
import pkg from "../package.json" with { type: "json" };
import { helpText, parseArgs, type Flags } from "./args.ts";
import { describeConfig, loadConfig, type Config } from "./config.ts";
import { createLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { startServer } from "./server.ts";

/** Bun 1.4.5 runs 256 fetches at once unless this stands in the environment when the process starts. */
const FETCHES = "BUN_CONFIG_MAX_HTTP_REQUESTS";
const MOST_FETCHES = "65336";

function fail(code: 1 | 2, ...lines: string[]): never {
  for (const line of lines) process.stderr.write(`hal0-dispatch: ${line}\n`);
  process.exit(code);
}

function configOf(flags: Flags): Config {
  const loaded = loadConfig({ flags, env: process.env });
  if (!loaded.ok) fail(2, ...loaded.faults);
  return loaded.config;
}

/** Starts this program again in its place, where the limit on fetches is not set yet: hung requests would stop all slots. */
function raiseFetchLimit(): void {
  if (process.env[FETCHES] !== undefined || !process.execve) return;
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  const args = [process.execPath, ...(isCompiled ? [] : [Bun.main]), ...process.argv.slice(2)];
  process.execve(process.execPath, args, { ...process.env, [FETCHES]: MOST_FETCHES });
}

async function serve(flags: Flags): Promise<void> {
  const config = configOf(flags);
  raiseFetchLimit();
  // A log reader that went away must not end the server.
  process.stdout.on("error", () => {});
  const log = createLog(config.server.logLevel, (line) => process.stdout.write(line));
  const { version } = pkg;
  const server = await startServer({
    config,
    version,
    log,
    metrics: createMetrics(version),
    onRepair: () => {},
    isStrict: false,
  }).catch((error: unknown): never => {
    const { host, port } = config.server;
    const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    fail(1, isTaken ? `port ${port} on ${host} is taken` : `cannot listen on ${host}:${port}: ${error instanceof Error ? error.message : "unknown"}`);
  });
  let isStopping = false;
  const stop = async (): Promise<void> => {
    if (isStopping) process.exit(0); // Asked twice: at once.
    isStopping = true;
    await server.stop();
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
}

const args = parseArgs(process.argv.slice(2));
switch (args.kind) {
  case "help":
    process.stdout.write(helpText(pkg.version));
    break;
  case "version":
    process.stdout.write(`hal0-dispatch ${pkg.version} (bun ${Bun.version})\n`);
    break;
  case "usage":
    fail(2, args.fault);
    break;
  case "check":
    process.stdout.write(`${describeConfig(configOf(args.flags))}\n`);
    break;
  case "serve":
    await serve(args.flags);
    break;
}
