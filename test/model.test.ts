// The function that owns what is known of a lemond and its slots, explored: every interleaving of a few requests, an operator,
// other clients, children that die, a lemond that goes, and the end of the process. No sockets, no time.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { explore, runAtRandom } from "./model/explore.ts";
import { faults } from "./model/faults.ts";
import { crowds, scenarios } from "./model/scenarios.ts";

describe("in every interleaving the laws hold", () => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
    const { broken, states, ends } = explore(scenario);
    expect(broken).toBeNull();
    expect(states).toBeGreaterThan(240);
    expect(ends).toBeGreaterThan(4);
  });
});

describe("in runs of everything at once the laws hold", () => {
  const RUNS = 60;
  const MOVES = 120;

  test.each(crowds.map((crowd) => [crowd.name, crowd] as const))("%s", (_, crowd) => {
    for (let seed = 1; seed <= RUNS; seed++) expect(runAtRandom(crowd, seed, MOVES)).toBeNull();
  });
});

describe.concurrent("the exploration finds", () => {
  test.each(faults.map(({ name, law }) => [name, law]))("%s", async (name, law) => {
    const explored = Bun.spawn([process.execPath, join(import.meta.dir, "model/broken.ts"), name], { stderr: "pipe" });
    const [found, error] = await Promise.all([explored.stdout.text(), explored.stderr.text()]);
    expect(error).toBe("");
    expect(JSON.parse(found)).toMatchObject({ broken: { law } });
  });
});
