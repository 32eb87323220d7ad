// Builds standalone executables: dist/hal0-dispatch for this machine, or with --all one for each target, their SHA256SUMS
// and sizes. Bun fetches the runtimes of other targets from the npm registry, once. `--out DIR` builds elsewhere.
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** The baseline needs no AVX2; the musl one runs on Alpine, with its libstdc++ and libgcc. */
const RELEASES = {
  "hal0-dispatch-linux-x64": "bun-linux-x64",
  "hal0-dispatch-linux-x64-baseline": "bun-linux-x64-baseline",
  "hal0-dispatch-linux-x64-musl": "bun-linux-x64-musl",
  "hal0-dispatch-linux-arm64": "bun-linux-arm64",
} as const;

type Target = (typeof RELEASES)[keyof typeof RELEASES];

const { values } = parseArgs({ options: { all: { type: "boolean" }, out: { type: "string", default: "dist" } } });
await mkdir(values.out, { recursive: true });
try {
  if (values.all) await buildAll(values.out);
  else await build(values.out, "hal0-dispatch", null);
} catch (error) {
  // Bun throws what it found as one error of many.
  for (const fault of error instanceof AggregateError ? [error, ...error.errors] : [error])
    console.error(String(fault));
  process.exitCode = 1;
}

async function buildAll(folder: string): Promise<void> {
  const sums: string[] = [];
  for (const [name, target] of Object.entries(RELEASES)) sums.push(`${await build(folder, name, target)}  ${name}\n`);
  await Bun.write(join(folder, "SHA256SUMS"), sums.join(""));
  process.stdout.write(`${join(folder, "SHA256SUMS")}\n`);
}

/** Its SHA-256. Built beside and moved into place: a running copy keeps its file, and a failed build leaves the old one. */
async function build(folder: string, name: string, target: Target | null): Promise<string> {
  const path = join(folder, name);
  const fresh = `${path}.new-${process.pid}`;
  try {
    const built = await Bun.build({
      entrypoints: [join(import.meta.dir, "src/main.ts")],
      // Neither .env nor bunfig.toml is read from where the executable is started.
      compile: {
        outfile: fresh,
        autoloadDotenv: false,
        autoloadBunfig: false,
        ...(target === null ? {} : { target }),
      },
      minify: true,
      bytecode: true,
      format: "esm",
    });
    if (!built.success) throw new AggregateError(built.logs, `${path} was not built`);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
  const file = Bun.file(path);
  process.stdout.write(`${path} ${(file.size / 1e6).toFixed(1)} MB\n`);
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of file.stream()) hasher.update(chunk);
  return hasher.digest("hex");
}
