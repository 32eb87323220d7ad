// Every script of package.json runs this first: an older Bun fails later, in ways that are hard to read.
import pkg from "../package.json" with { type: "json" };

const needed = pkg.engines.bun;
if (!Bun.semver.satisfies(Bun.version, needed)) {
  process.stderr.write(`hal0-dispatch needs Bun ${needed}, this is ${Bun.version}: npx --yes bun@1.4.5 run SCRIPT\n`);
  process.exit(2);
}
