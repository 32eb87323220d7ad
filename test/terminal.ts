// A real shell on a terminal of its own: keys are typed, the screen is read. `await using` ends it.

export interface Terminal extends AsyncDisposable {
  type(keys: string): void;
  /** Resolves when what was written since the last call matches; rejects after 10 s with it. */
  shows(pattern: RegExp): Promise<string>;
}

const WAIT_MS = 10_000;

export function openTerminal(command: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Terminal {
  let screen = "";
  let wake = Promise.withResolvers<void>();
  const child = Bun.spawn([...command], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", TERM: "dumb", HOME: cwd, ...env },
    terminal: {
      cols: 200,
      rows: 50,
      data: (_, bytes) => {
        screen += new TextDecoder().decode(bytes);
        wake.resolve();
        wake = Promise.withResolvers<void>();
      },
    },
  });
  return {
    type: (keys) => void child.terminal?.write(keys),
    shows: async (pattern) => {
      const deadline = performance.now() + WAIT_MS;
      while (!pattern.test(screen)) {
        if (performance.now() > deadline) throw new Error(`${pattern} did not appear: ${JSON.stringify(screen)}`);
        await Promise.race([wake.promise, Bun.sleep(200)]);
      }
      const shown = screen;
      screen = "";
      return shown;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      child.terminal?.close();
    },
  };
}
