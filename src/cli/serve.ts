// Runs the server until it is told to stop: signals, reload, the service manager.
import type { Flags } from "./args.ts";
import { createLineWriter, createLog } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import { createNotify } from "../host/notify.ts";
import { fail, readConfig, readOrFail } from "./outcome.ts";
import { startServer } from "../server.ts";

export async function serve(flags: Flags, version: string): Promise<void> {
  const { config, notes } = readOrFail(flags, 2);
  const log = createLog(config.server.logLevel, createLineWriter(process.stdout));
  // Nothing may end in a page of source code: what escapes is one line, and the service manager starts it anew.
  process.on("uncaughtException", (error) => {
    log.error("server.failed", { error: `${error.name}: ${error.message}` });
    process.exit(1);
  });
  process.on("unhandledRejection", (reason) => {
    log.error("server.failed", { error: reason instanceof Error ? `${reason.name}: ${reason.message}` : "unknown" });
  });
  for (const note of notes) log.warn("config.note", { note });
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
    const next = readConfig(flags);
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
