// All that must hold before a change lands, in the order in which it fails fastest. `bun run verify` on a clean checkout.
const bun = process.execPath;

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const steps: readonly Step[] = [
  { name: "install", command: [bun, "install", "--frozen-lockfile"] },
  { name: "format", command: [bun, "fmt", "--check"] },
  { name: "types", command: [bun, "check"] },
  { name: "build", command: [bun, "run", "build"] },
  { name: "tests", command: [bun, "test", "--parallel=4", "--only-failures"] },
];

/** Runs a step with its output passed on; returns its exit code and what `bun test` counted. */
async function run({ name, command }: Step): Promise<{ code: number; passed: number; failed: number }> {
  process.stdout.write(`\n== ${name}: ${["bun", ...command.slice(1)].join(" ")}\n`);
  const started = performance.now();
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "inherit", stderr: "pipe" });
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
  return { code, passed: counted("pass"), failed: counted("fail") };
}

let passed = 0;
let failed = 0;
let code = 0;
for (const step of steps) {
  const result = await run(step);
  passed += result.passed;
  failed += result.failed;
  code = result.code;
  if (code !== 0) break;
}
if (code === 0 && passed === 0) {
  process.stdout.write("no test was run\n");
  code = 1;
}
process.stdout.write(`\n${passed} passed, ${code !== 0 && failed === 0 ? 1 : failed} failed\n`);
process.exit(code);

export {};
