// A real llama-server in the place of a simulated child: started, watched, killed. It takes no faults and tells of no requests.
import type { ChildProcess, StartOptions } from "./process.ts";

const LOOK_MS = 20;

export function startRealChild(
  program: string | readonly string[],
  { model, checkpoint, port, launchCommand }: StartOptions,
): ChildProcess {
  const server = Bun.spawn([program, launchCommand.slice(1)].flat(), { stdio: ["ignore", "ignore", "ignore"] });
  const url = `http://127.0.0.1:${port}`;
  // Unlike a simulated child it does not notice that its parent is gone.
  const end = (): void => server.kill("SIGKILL");
  process.on("exit", end);
  const isAlive = (): boolean => server.exitCode === null && server.signalCode === null;
  const exited = server.exited.then(() => void process.off("exit", end));

  const started = async (): Promise<"listening" | "failed"> => {
    while (isAlive()) {
      // It refuses at first, then it answers 503 until the model is in memory.
      const isReady = await fetch(`${url}/health`, { keepalive: false }).then(
        ({ status }) => status === 200,
        () => false,
      );
      if (isReady) return "listening";
      await Bun.sleep(LOOK_MS);
    }
    return "failed";
  };
  const none = (): Promise<never> => Promise.reject(new Error(`the child of ${model} is a real llama-server`));

  return {
    model,
    checkpoint,
    pid: server.pid,
    port,
    url: `${url}/v1`,
    started: started(),
    exited,
    get isAlive() {
      return isAlive();
    },
    requests: [],
    aborted: 0,
    prompts: () => 0,
    received: none,
    receivedAny: none,
    abortedAny: none,
    set: none,
    openSockets: none,
    async kill(signal = "SIGKILL") {
      server.kill(signal);
      if (signal === "SIGKILL") await exited;
    },
    async stop(graceMs) {
      server.kill("SIGTERM");
      const timer = setTimeout(end, graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
