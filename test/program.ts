// The real program as a process of its own: `bun src/main.ts`, with all that it prints. Ended by `await using`.
import * as v from "valibot";

export interface Program extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Everything printed so far; nothing is left out. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
}

const Started = v.object({ event: v.literal("server.started"), url: v.string() });
const START_MS = 10_000;

/** Resolves when the program says that it listens. `toml` is its configuration file. */
export async function startProgram(toml: string, env: Readonly<Record<string, string>> = {}): Promise<Program> {
  const config = `${process.env["TMPDIR"] ?? "/tmp"}/hal0-dispatch-test-${crypto.randomUUID()}.toml`;
  await Bun.write(config, toml);
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/../src/main.ts`, "--config", config, "--port", "0"], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const texts = { stdout: "", stderr: "" };
  const { promise: started, resolve, reject } = Promise.withResolvers<string>();
  const follow = async (name: "stdout" | "stderr"): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const bytes of child[name]) {
      texts[name] += decoder.decode(bytes, { stream: true });
      const line = /^.*"server\.started".*$/m.exec(texts.stdout)?.[0];
      if (line !== undefined) resolve(v.parse(v.pipe(v.string(), v.parseJson(), Started), line).url);
    }
  };
  const printed = Promise.all([follow("stdout"), follow("stderr")]);
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  void child.exited.then((code) =>
    reject(new Error(`exit ${code} before it listened: ${texts.stdout}${texts.stderr}`)),
  );
  const stop = async (): Promise<number> => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
    const code = await child.exited;
    clearTimeout(late);
    await printed;
    return code;
  };
  try {
    const url = await started;
    return {
      url,
      pid: child.pid,
      stdout: () => texts.stdout,
      stderr: () => texts.stderr,
      stop,
      [Symbol.asyncDispose]: async () => void (await stop()),
    };
  } finally {
    clearTimeout(timer);
    await Bun.file(config).delete();
  }
}
