// The built executable as a process of its own, told by a configuration file and signals alone. `await using` ends it.
// Builds it where it is missing or older than its sources; knows nothing of what it serves.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

export interface BinaryOptions {
  /** The configuration file's text. */
  readonly toml?: string;
  readonly args?: readonly string[];
  /** The whole environment besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** The folder it is started in. Default: a fresh one, with the configuration file in it. */
  readonly cwd?: string;
}

/** A run that ends by itself. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Binary extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Everything that it wrote so far. */
  readonly stdout: string;
  /** Its log; a line that is not JSON throws where it is asked for. */
  readonly lines: readonly Line[];
  readonly configPath: string;
  /** The next such line, past ones included; rejects after 30 s. */
  line(event: string, match?: (line: Line) => boolean): Promise<Line>;
  signal(signal: "SIGTERM" | "SIGHUP" | "SIGINT"): void;
  readonly exited: Promise<number>;
}

const EXECUTABLE = resolve("dist/hal0-dispatch");
/** An executable that was just written takes its time to be read, on a busy disk. */
const WAIT_MS = 30_000;

/** The path of the executable, built anew where it is older than what it is built from. */
export async function builtExecutable(): Promise<string> {
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).map((name) => join("src", name));
  const newest = Math.max(...[...sources, "build.ts", "package.json"].map(modifiedMs));
  if (modifiedMs(EXECUTABLE) > newest) return EXECUTABLE;
  const build = Bun.spawn([process.execPath, "build.ts"], { stdout: "ignore", stderr: "pipe" });
  const stderr = await new Response(build.stderr).text();
  if ((await build.exited) !== 0) throw new Error(`the build failed: ${stderr}`);
  return EXECUTABLE;
}

/** Runs it until it ends, 30 s at most. */
export async function runBinary({ toml, args = [], env = {}, cwd }: BinaryOptions): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), "hal0-run-"));
  try {
    const command = [await builtExecutable(), ...configured(folder, toml), ...args];
    const child = Bun.spawn(command, {
      ...options(env, cwd ?? folder),
      timeout: WAIT_MS,
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, stdout, stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Resolves when it listens. Rejects with what it wrote where it ends instead. */
export async function startBinary({ toml, args = [], env = {}, cwd }: BinaryOptions): Promise<Binary> {
  const folder = mkdtempSync(join(tmpdir(), "hal0-run-"));
  const child = Bun.spawn([await builtExecutable(), ...configured(folder, toml), ...args], options(env, cwd ?? folder));
  let stdout = "";
  let wake = Promise.withResolvers<void>();
  const turn = (): void => {
    const waiting = wake;
    wake = Promise.withResolvers<void>();
    waiting.resolve();
  };
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      turn();
    }
  })();
  const stderr = new Response(child.stderr).text();
  let hasEnded = false;
  const exited = (async () => {
    const code = await child.exited;
    await reading;
    hasEnded = true;
    turn();
    return code;
  })();
  const lines = (): Line[] => {
    const whole = stdout.slice(0, stdout.lastIndexOf("\n") + 1);
    return whole.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  };
  const line: Binary["line"] = async (event, match = () => true) => {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const found = lines().find((line) => line.event === event && match(line));
      if (found) return found;
      if (hasEnded) throw new Error(`ended without ${event}: ${stdout}${(await stderr).slice(0, 2000)}`);
      if (performance.now() > deadline) throw new Error(`no ${event} within ${WAIT_MS} ms: ${stdout}`);
      await Promise.race([wake.promise, Bun.sleep(500)]);
    }
  };
  const started = await line("server.started").catch((error: unknown) => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
    throw error;
  });
  const url = String(started["url"]);
  return {
    url,
    pid: child.pid,
    configPath: join(folder, "dispatch.toml"),
    get stdout() {
      return stdout;
    },
    get lines() {
      return lines();
    },
    line,
    exited,
    signal: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      // A test that failed may leave requests in flight; nobody waits for those to drain.
      const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
      await exited;
      clearTimeout(timer);
      rmSync(folder, { recursive: true });
    },
  };
}

function configured(folder: string, toml: string | undefined): string[] {
  if (toml === undefined) return [];
  const path = join(folder, "dispatch.toml");
  writeFileSync(path, toml);
  return ["--config", path];
}

// Nothing of this process's environment: a HAL0_DISPATCH_… of the developer's would speak before the file.
const options = (env: Readonly<Record<string, string>>, cwd: string) =>
  ({
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  }) as const;

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
