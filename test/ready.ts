// Every script of package.json runs this first: an older Bun fails later, in ways that are hard to read, and a checkout may
// have no packages yet.
import { existsSync } from "node:fs";
import pkg from "../package.json" with { type: "json" };

const needed = pkg.engines.bun;
if (!Bun.semver.satisfies(Bun.version, needed)) {
  process.stderr.write(`hal0-dispatch needs Bun ${needed}, this is ${Bun.version}: npx --yes bun@1.4.5 run SCRIPT\n`);
  process.exit(2);
}
if (!existsSync("node_modules/elysia")) {
  process.stderr.write("Installing what is missing …\n");
  const install = Bun.spawn([process.execPath, "install", "--frozen-lockfile"], {
    stdout: "ignore",
    stderr: "inherit",
  });
  if ((await install.exited) !== 0) process.exit(1);
}
