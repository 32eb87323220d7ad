// bun test/model/broken.ts FAULT: explores one scenario with the fault put back into src/slots, in memory alone. Prints what
// was found as JSON.
import { plugin } from "bun";
import { join } from "node:path";
import { faults } from "./faults.ts";

const fault = faults.find(({ name }) => name === process.argv[2]);
if (!fault) throw new Error(`no fault is called "${process.argv[2]}"`);

const path = join(import.meta.dir, "../../src/slots", fault.file);
const pieces = (await Bun.file(path).text()).split(fault.right);
if (pieces.length !== 2) throw new Error(`${fault.file} has "${fault.right}" ${pieces.length - 1} times, not once`);

plugin({
  name: fault.name,
  setup: (build) =>
    void build.onLoad({ filter: /\/src\/slots\/[^/]+\.ts$/ }, async (file) => ({
      contents: file.path === path ? pieces.join(fault.wrong) : await Bun.file(file.path).text(),
      loader: "ts",
    })),
});

const { explore } = await import("./explore.ts");
const { scenarios } = await import("./scenarios.ts");
const scenario = scenarios.find(({ name }) => name === fault.scenario);
if (!scenario) throw new Error(`no scenario is called "${fault.scenario}"`);
process.stdout.write(`${JSON.stringify(explore(scenario))}\n`);
