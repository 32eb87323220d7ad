// All that must hold before a change lands, in the order in which it fails fastest. `bun run verify` on a clean checkout.
// `--with-packages` lets the tests install Debian packages that they need; without it, those tests are left out and named.
import { parseArgs } from "node:util";
import { MAY_INSTALL, SKIPPED } from "./need.ts";

const bun = process.execPath;
const { values } = parseArgs({ options: { "with-packages": { type: "boolean", default: false } } });
const env = { ...process.env, [MAY_INSTALL]: values["with-packages"] ? "1" : "0" };

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const steps: readonly Step[] = [
  { name: "install", command: [bun, "install", "--frozen-lockfile"] },
  { name: "format", command: [bun, "fmt", "--check"] },
  { name: "types", command: [bun, "check"] },
  { name: "build", command: [bun, "run", "build"] },
  // Most tests wait, so three files for each of two cores run side by side. The longest begin first; `--update-timings`
  // measures them anew. A test that fails once has failed.
  { name: "tests", command: [bun, "test", "--parallel=6", "--timings=test/timings.json", "--only-failures"] },
];

interface Result {
  readonly code: number;
  /** What `bun test` counted. */
  readonly passed: number;
  readonly failed: number;
  /** What the tests said that they left out. */
  readonly leftOut: readonly string[];
}

/** Runs a step with its output passed on. */
async function run({ name, command }: Step): Promise<Result> {
  process.stdout.write(`\n== ${name}: ${["bun", ...command.slice(1)].join(" ")}\n`);
  const started = performance.now();
  const child = Bun.spawn([...command], { env, stdin: "ignore", stdout: "inherit", stderr: "pipe" });
  let text = "";
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    text += new TextDecoder().decode(chunk);
  }
  const code = await child.exited;
  process.stdout.write(
    `== ${name}: ${code === 0 ? "ok" : `exit ${code}`} in ${((performance.now() - started) / 1000).toFixed(1)} s\n`,
  );
  const counted = (word: string): number => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  const lines = text.split("\n").filter((line) => line.startsWith(SKIPPED));
  return { code, passed: counted("pass"), failed: counted("fail"), leftOut: lines };
}

let passed = 0;
let failed = 0;
let code = 0;
const leftOut = new Set<string>();
for (const step of steps) {
  const result = await run(step);
  passed += result.passed;
  failed += result.failed;
  code = result.code;
  for (const line of result.leftOut) leftOut.add(line.slice(SKIPPED.length));
  if (code !== 0) break;
}
if (code === 0 && passed === 0) {
  process.stdout.write("no test was run\n");
  code = 1;
}
if (leftOut.size > 0) {
  const advice = values["with-packages"] ? "" : " (bun run verify --with-packages installs what is missing)";
  process.stdout.write(`\nLeft out${advice}:\n${[...leftOut].map((line) => `  ${line}\n`).join("")}`);
}
process.stdout.write(`\n${passed} passed, ${code !== 0 && failed === 0 ? 1 : failed} failed\n`);
process.exit(code);
