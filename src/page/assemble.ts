// Puts the status page together: html, styles and scripts become one document. Both functions are macros: Bun calls them
// while it bundles or starts from source, and the executable holds what they gave.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The document. A macro may not call Bun.build (it would wait for itself), so this file is run as a program of its own. */
export function assemble(): string {
  // What is wrong with the page is said by the program itself; of an error in a macro Bun shows only that there was one.
  const run = Bun.spawnSync([process.execPath, import.meta.path], { stderr: "inherit" });
  if (!run.success) throw new Error("the status page was not put together");
  return run.stdout.toString();
}

/** The text of README.md, for whoever reads the page. */
export const readme = (): string => readFileSync(join(import.meta.dir, "../../README.md"), "utf8");

if (import.meta.main) {
  // For a browser, `compile` gives one html file with everything in it.
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "index.html")],
    target: "browser",
    compile: true,
    minify: true,
  });
  const [page] = built.outputs;
  if (page) await Bun.write(Bun.stdout, page);
  else process.exitCode = 1;
}
