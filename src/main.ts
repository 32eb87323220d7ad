#!/usr/bin/env bun
// argv, configuration, signals and exit codes: 0 stopped on request, 1 failed at run time, 2 configuration or usage.
import pkg from "../package.json" with { type: "json" };
import { helpText, parseArgs, type Flags } from "./args.ts";
import { printCompletion } from "./completion.ts";
import { loadConfig, type Loaded } from "./config.ts";
import { describeConfig } from "./describe.ts";
import { systemFiles } from "./files.ts";
import { createLineWriter, createLog } from "./log.ts";

/** Bun 1.4.5 runs 256 fetches at once unless this stands in the environment when the process starts. */
const FETCHES = "BUN_CONFIG_MAX_HTTP_REQUESTS";
const MOST_FETCHES = "65336";

const isCompiled = Bun.main.startsWith("/$bunfs/");

function fail(code: 1 | 2, ...lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`hal0-dispatch: ${line}\n`);
  process.exit(code);
}

const read = (flags: Flags): Loaded => loadConfig({ ...systemFiles, args: flags, env: process.env });

function readOrFail(flags: Flags, code: 1 | 2): Extract<Loaded, { ok: true }> {
  const loaded = read(flags);
  return loaded.ok ? loaded : fail(code, ...loaded.faults);
}

/** Starts this program again in its place where the limit on fetches is not set: hung requests would stop all slots. */
function raiseFetchLimit(): void {
  if (process.env[FETCHES] !== undefined) return;
  const args = [process.execPath, ...(isCompiled ? [] : [Bun.main]), ...process.argv.slice(2)];
  process.execve?.(process.execPath, args, { ...process.env, [FETCHES]: MOST_FETCHES });
}

async function serve(flags: Flags): Promise<void> {
  raiseFetchLimit();
  const { config, notes } = readOrFail(flags, 2);
  // Loaded only now: the program that is replaced above would have loaded them for nothing.
  const [{ createMetrics }, { startServer }, { createNotify }] = await Promise.all([
    import("./metrics.ts"),
    import("./server.ts"),
    import("./notify.ts"),
  ]);
  const log = createLog(config.server.logLevel, createLineWriter(process.stdout));
  for (const note of notes) log.warn("config.note", { note });
  const { version } = pkg;
  const options = { config, version, log, metrics: createMetrics(version), onRepair: () => {}, isStrict: false };
  const server = await startServer(options).catch((error: unknown): never => {
    const { host, port } = config.server;
    const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    const why = error instanceof Error ? error.message : "unknown";
    fail(1, isTaken ? `port ${port} on ${host} is taken` : `cannot listen on ${host}:${port}: ${why}`);
  });
  const notify = createNotify(process.env, process.pid);
  notify.ready(server.url);

  let { drainMs } = config.server;
  const reload = (): void => {
    const next = read(flags);
    if (next.ok) {
      log.info("config.reloaded", { source: next.source, restart_needed_for: server.reload(next.config) });
      ({ drainMs } = next.config.server);
    } else log.error("config.reload_failed", { source: next.source, faults: next.faults });
    notify.reloaded(server.url, next.ok ? null : (next.faults[0] ?? null));
  };
  let isStopping = false;
  const stop = async (): Promise<void> => {
    if (isStopping) process.exit(0); // Asked twice: at once.
    isStopping = true;
    notify.stopping(drainMs);
    await server.stop();
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
  process.on("SIGHUP", reload);
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
    process.stdout.write(`${describeConfig(readOrFail(args.flags, 1).config)}\n`);
    break;
  case "install":
  case "uninstall": {
    const { runInstall, runUninstall, systemInstallIo } = await import("./install.ts");
    const io = systemInstallIo(isCompiled ? process.execPath : null, MOST_FETCHES);
    process.exitCode = args.kind === "install" ? await runInstall(args, io) : await runUninstall(args, io);
    break;
  }
  case "doctor": {
    const { runDoctor } = await import("./doctor.ts");
    const out = (text: string): void => void process.stdout.write(text);
    process.exitCode = await runDoctor(args, { ...systemFiles, env: process.env, version: pkg.version, out });
    break;
  }
  case "completion":
    process.stdout.write(printCompletion(args.shell));
    break;
  case "serve":
    await serve(args.flags);
    break;
}
