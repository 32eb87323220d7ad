// The server as a process of its own for the demo, and the lines of its log that tell of a repair.

export interface Program extends AsyncDisposable {
  readonly url: string;
  /** The log lines of repairs so far, once the one of that event is among them; after 5 s those that there are. */
  lines(event: string): Promise<string[]>;
}

const WAIT_MS = 5000;
const TOLD = /upstream_dead|recover_|provider\.|upstream_recovered|stream_continued|stream_interrupted/;

export async function startProgram(lemondUrl: string): Promise<Program> {
  const command = [process.execPath, "src/main.ts", "--config", "/dev/null", "--port", "0", "--lemonade", lemondUrl];
  const env = { ...process.env, HAL0_DISPATCH_API_KEYS: "", HAL0_DISPATCH_ADMIN_KEYS: "" };
  const server = Bun.spawn(command, { env, stdout: "pipe", stderr: "inherit" });
  const events: Record<string, unknown>[] = [];
  const started = Promise.withResolvers<string>();
  const reading = (async () => {
    let rest = "";
    for await (const chunk of server.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event = JSON.parse(line) as Record<string, unknown>;
        events.push(event);
        if (event["event"] === "server.started") started.resolve(String(event["url"]));
      }
    }
    started.reject(new Error("the server ended before it listened"));
  })();
  return {
    url: await started.promise,
    lines: async (wanted) => {
      const deadlineMs = performance.now() + WAIT_MS;
      while (!events.some(({ event }) => event === wanted) && performance.now() < deadlineMs) await Bun.sleep(20);
      const told = events.filter(({ event }) => TOLD.test(String(event)));
      return told.map(({ ts: _ts, level: _level, ...line }) => JSON.stringify(line));
    },
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await server.exited;
      await reading;
    },
  };
}
