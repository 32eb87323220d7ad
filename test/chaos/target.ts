// The server under test as a process of its own: started, watched from outside through /proc, and stopped. What it logs of
// its own faults is collected.
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KEY_ENV } from "./configured.ts";
import { AWAY_KEY } from "./elsewhere.ts";
import { SLOT_MODELS, type SlotName } from "./plan.ts";
import { createLogReader, type Logged, type Told } from "./told.ts";

export interface TargetOptions {
  /** Its configuration, of these slots alone where it is reloaded. */
  readonly text: (slots: readonly SlotName[]) => string;
  /** An executable in place of `bun src/main.ts`. */
  readonly binary: string | null;
  /** Takes each line that the server logs. */
  readonly onLine: (line: string) => void;
}

export interface Target {
  readonly url: string;
  readonly pid: number;
  /** Internal errors, illegal transitions, anything on stderr. */
  readonly faults: readonly string[];
  /** How often it has told lemond that the model is in use. */
  touches(model: string): number;
  /** What its log says of a request. */
  told(requestId: string | null): Told;
  /** What it says of a request, and of slots and models with these names. */
  logged(fromMs: number, requestId: string | null, names: readonly string[]): Logged[];
  /** Its process runs. */
  isUp(): boolean;
  rssBytes(): number;
  descriptors(): Descriptors;
  /** SIGHUP with a configuration of these slots alone; resolves when it is taken, or the server has ended. */
  reload(slots: readonly SlotName[]): Promise<void>;
  /** SIGTERM; the exit code. */
  stop(): Promise<number>;
}

/** What the process has open. */
export interface Descriptors {
  readonly files: number;
  /** Sockets of clients. */
  readonly clients: number;
  /** Of those: the client has closed its end. */
  readonly abandoned: number;
  /** Sockets to lemond and its children. */
  readonly upstreams: number;
}

const START_MS = 20_000;

export async function startTarget({ text, binary, onLine }: TargetOptions): Promise<Target> {
  const file = join(process.env["TMPDIR"] ?? "/tmp", `chaos-${process.pid}-${crypto.randomUUID()}.toml`);
  const configure = (slots: readonly SlotName[]) => Bun.write(file, text(slots));
  await configure(Object.keys(SLOT_MODELS) as SlotName[]);
  const command = binary === null ? [process.execPath, join(import.meta.dir, "../../src/main.ts")] : [binary];
  const env = { ...process.env, [KEY_ENV]: AWAY_KEY };
  const server = Bun.spawn([...command, "--config", file], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  // However the campaign ends, its server ends with it, and its file goes.
  const end = (): void => {
    server.kill("SIGKILL");
    rmSync(file, { force: true });
  };
  process.on("exit", end);
  const log = createLogReader();
  const { faults } = log;
  const started = Promise.withResolvers<string>();
  void log.next("server.started").then(started.resolve);
  const timer = setTimeout(() => started.reject(new Error("the server did not start")), START_MS);
  void eachLine(server.stdout, (line) => {
    onLine(line);
    log.take(line);
  });
  void eachLine(server.stderr, (line) => void faults.push(`stderr: ${line}`));
  void server.exited.then((code) => started.reject(new Error(`the server ended with ${code}: ${faults.join("\n")}`)));
  const url = await started.promise.finally(() => clearTimeout(timer));
  const { pid } = server;
  return {
    url,
    pid,
    faults,
    touches: log.touches,
    told: log.told,
    logged: log.logged,
    isUp: () => server.exitCode === null && server.signalCode === null,
    rssBytes: () => 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]),
    descriptors: () => descriptorsOf(pid, Number(new URL(url).port)),
    reload: async (slots) => {
      const reloaded = log.next("config.reloaded");
      await configure(slots);
      server.kill("SIGHUP");
      await Promise.race([reloaded, server.exited]);
    },
    stop: async () => {
      server.kill("SIGTERM");
      const killer = setTimeout(() => server.kill("SIGKILL"), START_MS);
      const code = await server.exited;
      clearTimeout(killer);
      process.off("exit", end);
      rmSync(file);
      return code;
    },
  };
}

async function eachLine(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}

function descriptorsOf(pid: number, port: number): Descriptors {
  const sockets = new Set<string>();
  let files = 0;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
    if (inode === undefined) files += 1;
    else sockets.add(inode);
  }
  let clients = 0;
  let abandoned = 0;
  let upstreams = 0;
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    if (!sockets.has(inode) || state === LISTENING) continue;
    if (Number.parseInt(local.split(":")[1] ?? "", 16) === port) {
      clients += 1;
      if (state === CLOSE_WAIT) abandoned += 1;
    } else upstreams += 1;
  }
  return { files, clients, abandoned, upstreams };
}

/** As `/proc/net/tcp` numbers them. */
const LISTENING = "0A";
const CLOSE_WAIT = "08";

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // Closed meanwhile.
  }
}
