// Builds dist/hal0-dispatch, one standalone executable for this machine.
import { mkdir, rename, stat } from "node:fs/promises";

const OUT = "dist/hal0-dispatch";

await mkdir("dist", { recursive: true });
// Built beside and moved into place: a running copy keeps its file, and a failed build leaves the old one.
const built = await Bun.build({
  entrypoints: ["src/main.ts"],
  // Neither .env nor bunfig.toml is read from where the executable is started.
  compile: { outfile: `${OUT}.new`, autoloadDotenv: false, autoloadBunfig: false },
  minify: true,
  bytecode: true,
  format: "esm",
});
if (!built.success) {
  for (const message of built.logs) console.error(String(message));
  process.exit(1);
}
await rename(`${OUT}.new`, OUT);
const { size } = await stat(OUT);
process.stdout.write(`${OUT} ${(size / 1e6).toFixed(1)} MB\n`);
