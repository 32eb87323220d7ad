// A cloud model in lemond's list: a child that is no process, at port 0 with pid 0 (DESIGN.md section 2, 23).
import type { ChildProcess } from "./process.ts";

export function cloudChild(model: string, checkpoint: string): ChildProcess {
  const none = (): Promise<never> => Promise.reject(new Error(`${model} is in the cloud: it has no child`));
  return {
    model,
    checkpoint,
    pid: 0,
    port: 0,
    url: "http://127.0.0.1:0/v1",
    isAlive: true,
    exited: new Promise(() => {}),
    started: Promise.resolve("listening"),
    requests: [],
    aborted: 0,
    prompts: () => 0,
    received: none,
    receivedAny: none,
    abortedAny: none,
    set: none,
    openSockets: none,
    // There is nothing to end.
    kill: async () => {},
    stop: async () => {},
  };
}
