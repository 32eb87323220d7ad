#!/usr/bin/env bun
// The entry: raises the limit on fetches before anything else is loaded, then does what the command line asks for.
import { FETCHES, MOST_FETCHES } from "./cli/fetches.ts";

// Hung requests would stop all slots: without the limit in its environment this program is started again in its place.
if (process.env[FETCHES] === undefined) {
  const script = Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
  const args = [process.execPath, ...script, ...process.argv.slice(2)];
  process.execve?.(process.execPath, args, { ...process.env, [FETCHES]: MOST_FETCHES });
}
// Loaded only now: the program that is replaced above would have loaded it for nothing.
const { run } = await import("./cli/command.ts");
await run(process.argv.slice(2)).catch((error: unknown) => {
  // What escapes would be printed with a page of source code.
  process.stderr.write(`hal0-dispatch: ${error instanceof Error ? `${error.name}: ${error.message}` : "unknown"}\n`);
  process.exit(1);
});
