// From the start of an executable to its first answer: this server, and the bare pass-through compiled in the same way.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "./report.ts";

export interface Start {
  readonly ownMs: number;
  readonly bareMs: number;
}

const RUNS = 15;

/** Medians of runs in turn. `binary` is this server's executable; nothing listens where it looks for lemond. */
export async function measureStart(binary: string): Promise<Start> {
  const folder = await mkdtemp(join(tmpdir(), "hal0-start-"));
  const bare = join(folder, "bare");
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "passthrough.ts")],
    compile: { outfile: bare, autoloadDotenv: false, autoloadBunfig: false },
    minify: true,
    bytecode: true,
    format: "esm",
  });
  if (!built.success) throw new Error("the bare pass-through could not be compiled");
  const own = [binary, "--config", "/dev/null", "--port", "0", "--lemonade", "http://127.0.0.1:9"];
  const ownMs: number[] = [];
  const bareMs: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    ownMs.push(await firstAnswer(own, /"server\.started","url":"([^"]+)"/, "/live"));
    bareMs.push(await firstAnswer([bare, "--port", "0", "--child-port", "9"], /^(http\S+)/m, ""));
  }
  await rm(folder, { recursive: true });
  return { ownMs: median(ownMs), bareMs: median(bareMs) };
}

/** Milliseconds. `url` finds the address in what the program prints. */
async function firstAnswer(command: string[], url: RegExp, path: string): Promise<number> {
  const began = performance.now();
  const server = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  let text = "";
  let found: string | undefined;
  for await (const chunk of server.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    found = url.exec(text)?.[1];
    if (found !== undefined) break;
  }
  // The bare one has no child: its 500 is an answer, too.
  await (await fetch(new URL(path, found))).arrayBuffer();
  const tookMs = performance.now() - began;
  server.kill();
  await server.exited;
  return tookMs;
}
