// Runs the server until it is told to stop: signals, reload, the service manager.
import type { Flags } from "./args.ts";
import type { Config } from "../config/config.ts";
import { createLineWriter, createLog, type LogFormat } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import { createNotify } from "../host/notify.ts";
import { fail, readConfig, readOrFail } from "./outcome.ts";
import { type Server, startServer } from "../server.ts";

export async function serve(flags: Flags, version: string): Promise<void> {
  const { config, notes } = readOrFail(flags);
  const log = createLog(config.server.logLevel, createLineWriter(process.stdout), formatOf(config), setImmediate);
  // An escaped error is logged as one line, not as a page of source code; the service manager restarts the server.
  process.on("uncaughtException", (error) => {
    log.error("server.failed", { error: `${error.name}: ${error.message}` });
    process.exit(1);
  });
  process.on("unhandledRejection", (reason) => {
    log.error("server.failed", { error: reason instanceof Error ? `${reason.name}: ${reason.message}` : "unknown" });
  });
  for (const note of notes) log.warn("config.note", { note });

  const notify = createNotify(process.env, process.pid);
  const { promise: started, resolve: hasStarted } = Promise.withResolvers<Server>();
  let { drainMs } = config.server;
  const reload = async (): Promise<void> => {
    const server = await started;
    const next = readConfig(flags);
    if (next.ok) {
      log.setFormat(formatOf(next.config));
      log.info("config.reloaded", { source: next.source, restart_needed_for: server.reload(next.config) });
      ({ drainMs } = next.config.server);
    } else log.error("config.reload_failed", { source: next.source, faults: next.faults });
    notify.reloaded(server.url, next.ok ? null : (next.faults[0] ?? null));
  };
  let isStopping = false;
  const stop = async (): Promise<void> => {
    if (isStopping) process.exit(0); // The second signal ends it at once.
    isStopping = true;
    notify.stopping(drainMs);
    await (await started).stop();
    process.exit(0);
  };
  // Before it listens: it answers requests while it looks at lemond for the first time, and a signal would cut them.
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
  process.on("SIGHUP", () => void reload());

  // systemd names the folders of StateDirectory= there, with colons in between.
  const stateFolder = process.env["STATE_DIRECTORY"]?.split(":")[0] || null;
  const metrics = createMetrics(version);
  const options = { config, version, log, metrics, stateFolder, onRepair: () => {}, isStrict: false };
  const server = await startServer(options).catch((error: unknown): never => {
    const { host, port } = config.server;
    const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    const why = error instanceof Error ? error.message : "unknown";
    fail(1, isTaken ? `port ${port} on ${host} is taken` : `cannot listen on ${host}:${port}: ${why}`);
  });
  if (!isStopping) notify.ready(server.url);
  hasStarted(server);
}

const formatOf = ({ server: { logFormat } }: Config): LogFormat =>
  logFormat === "auto" ? (process.stdout.isTTY ? "text" : "json") : logFormat;
