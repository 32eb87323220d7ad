// The parent's end of one child process: start it, hear from it, give it faults, kill it.
import { createConnection } from "node:net";
import { readFromChild, settingsVariable, type ChildSettings, type ToChild } from "./ipc.ts";
import type { Child, ChildRequest } from "./types.ts";
import { createLog } from "./waiters.ts";

export interface ChildProcess extends Child {
  readonly started: Promise<Start>;
  /** SIGTERM, SIGKILL after `graceMs`; resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

export type Start = "listening" | "port-taken" | "failed";

export interface StartOptions extends ChildSettings {
  readonly port: number;
  readonly launchCommand: readonly string[];
}

type Mutable = { -readonly [K in keyof ChildRequest]: ChildRequest[K] };

export function startChild(options: StartOptions): ChildProcess {
  const { port, launchCommand, ...settings } = options;
  const { model, checkpoint } = settings;
  const log = createLog<Mutable>();
  const started = Promise.withResolvers<Start>();
  const acks = new Map<number, (value: number) => void>();
  let orders = 0;
  let isAlive = true;

  const process_ = Bun.spawn(
    [process.execPath, "--no-orphans", `${import.meta.dir}/child.ts`, ...launchCommand.slice(1)],
    {
      cwd: import.meta.dir,
      env: { [settingsVariable]: JSON.stringify(settings satisfies ChildSettings) },
      stdio: ["ignore", "ignore", "inherit"],
      serialization: "json",
      ipc(raw) {
        const message = readFromChild(raw);
        switch (message.kind) {
          case "listening":
            return started.resolve("listening");
          case "failed":
            return started.resolve(message.code === "EADDRINUSE" ? "port-taken" : "failed");
          case "request":
            log.add({ ...message.request, isAborted: false });
            if (message.request.isProbe) return;
            try {
              process_.send({ kind: "noted", id: message.request.id } satisfies ToChild);
            } catch {
              // It died meanwhile and needs no answer.
            }
            return;
          case "aborted": {
            const request = log.items.find((item) => item.id === message.id);
            if (request === undefined) return;
            request.isAborted = true;
            return log.changed(request);
          }
          case "ack":
            acks.get(message.id)?.(message.value);
            acks.delete(message.id);
        }
      },
    },
  );
  const exited = process_.exited.then(() => {
    isAlive = false;
    started.resolve("failed");
    for (const settle of acks.values()) settle(0);
    acks.clear();
  });

  const order = (make: (id: number) => ToChild): Promise<number> => {
    if (!isAlive) return Promise.reject(new Error(`child of ${model} is gone`));
    const id = (orders += 1);
    const acked = new Promise<number>((resolve) => acks.set(id, resolve));
    process_.send(make(id));
    return acked;
  };
  const isPost = (request: ChildRequest): boolean => request.method === "POST";
  const name = `child of ${model} on ${port}`;

  return {
    model,
    checkpoint,
    pid: process_.pid,
    port,
    url: `http://127.0.0.1:${port}/v1`,
    started: started.promise,
    exited,
    get isAlive() {
      return isAlive;
    },
    requests: log.items,
    get aborted() {
      return log.items.filter((request) => request.isAborted).length;
    },
    prompts: () => log.items.filter(isPost).length,
    received: (match = isPost) => log.next((request) => !request.isAborted && match(request), `${name}: a request`),
    receivedAny: (match = isPost) => log.any(match, `${name}: a request`),
    abortedAny: (match = () => true) => log.any((request) => request.isAborted && match(request), `${name}: an abort`),
    async kill(signal = "SIGKILL") {
      process_.kill(signal);
      if (signal !== "SIGKILL") return;
      await exited;
      await refuses(port);
    },
    set: (faults) => order((id) => ({ kind: "set", id, faults })).then(() => undefined),
    openSockets: () => order((id) => ({ kind: "sockets", id })),
    async stop(graceMs) {
      if (!isAlive) return;
      process_.kill("SIGTERM");
      const timer = setTimeout(() => process_.kill("SIGKILL"), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Resolves once nothing listens there: the kernel closes the socket before the exit is told, so once is nearly always enough. */
async function refuses(port: number): Promise<void> {
  for (let tries = 0; tries < 100 && (await canConnect(port)); tries += 1) await Bun.sleep(1);
}

export function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
