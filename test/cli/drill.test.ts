// The drill as a process of its own, against a real server and processes that it really ends.
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join, resolve } from "node:path";
import { tmpdir } from "node:os";
import type { LemondOptions } from "../lemond/index.ts";
import { type Stack, type StackOptions, startStack } from "../stack.ts";
import { openTerminal } from "../terminal.ts";

setDefaultTimeout(30_000);

/** Its streams are long enough to be killed in. */
const models: LemondOptions["models"] = [{ id: "tiny-a", chat: { tokenMs: 5 } }];
const slot = { name: "primary", model: "tiny-a", isDefault: true };
const slots: StackOptions["slots"] = [{ ...slot, isContinued: false }];
const start = (more: StackOptions = {}): Promise<Stack> =>
  startStack({ ...more, slots: more.slots ?? slots, lemond: { models, ...more.lemond } });

const program = [process.execPath, resolve("src/main.ts"), "drill"];
const env = { HAL0_DISPATCH_CONFIG: "/dev/null" };

async function drill(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const child = Bun.spawn([...program, ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...env, ...more },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

/** The parts of a drill's report, by their number. */
const rounds = (out: string): string[] => out.split(/\n(?=\d\. )/).slice(1);

describe.each(["10.6", "11.7"] as const)("lemond %s", (version) => {
  test("three kills, each answered: the report has the log's own names, and says that the stream was not whole", async () => {
    await using stack = await start({ lemond: { version } });
    const { code, out, err } = await drill(["--url", stack.url, "--yes"]);
    expect(err).toBe("");
    const [plain = "", streamed = "", cut = ""] = rounds(out);
    for (const round of [plain, streamed]) {
      expect(round).toMatch(/ {2}kill -9 +\d+, on port \d+\n/);
      expect(round).toMatch(/ {2}slot\.transition +offline → starting\n/);
      expect(round).toMatch(/ {2}answered +whole, x-hal0-repair: (recovered|loaded)\n/);
      expect(round).toMatch(/lemond took \d+\.\d\d s; the answer took \d+\.\d\d s more/);
    }
    expect(out).toMatch(/dispatch\.upstream_recovered +recovered in/);
    // The slot's streams are not continued: law 8.
    expect(cut).toMatch(/answered +not whole: dispatch\.stream_interrupted/);
    expect([code, out.trim().split("\n").at(-1)]).toEqual([1, "1 of 3 answers was not whole."]);
    expect(stack.lemond.loads("tiny-a")).toBeGreaterThanOrEqual(3);
  });

  test("a slot whose streams go on answers all three whole, and the drill ends with 0", async () => {
    await using stack = await start({ lemond: { version }, slots: [{ ...slot, isContinued: true }] });
    const { code, out, err } = await drill(["--url", stack.url, "--yes"]);
    expect([code, err]).toEqual([0, ""]);
    const [, , cut = ""] = rounds(out);
    // In this order: the kill, the load, the seam, the end.
    expect(cut).toMatch(
      /kill -9 [^]*slot\.transition +offline → starting\n[^]*dispatch\.stream_continued [^]*answered +whole\n/,
    );
    expect(cut).toMatch(/lemond took \d+\.\d\d s; the answer took \d+\.\d\d s more/);
    expect(out.trim().split("\n").at(-1)).toBe(
      "Every answer was whole: the model was ended three times, and nobody would have noticed.",
    );
    // One process for each kill, and no more.
    expect(stack.lemond.children().filter(({ isAlive }) => !isAlive).length).toBe(3);
    expect(stack.lemond.loads("tiny-a")).toBe(4);
    expect(stack.logged("dispatch.stream_continued").length).toBe(1);
    expect(stack.logged("dispatch.stream_interrupted")).toEqual([]);
  });
});

describe("nothing is ended", () => {
  let stack: Stack | null = null;
  afterEach(async () => {
    await stack?.[Symbol.asyncDispose]();
    stack = null;
  });

  const refused = async (args: readonly string[], more: StackOptions = {}, vars = {}) => {
    stack = await start(more);
    const result = await drill(["--url", stack.url, ...args], vars);
    expect(stack.child().isAlive).toBe(true);
    expect(result.err.split("\n").length).toBe(2);
    return result;
  };

  test("where nobody can be asked and --yes is not said", async () => {
    const { code, err } = await refused([]);
    expect([code, err]).toEqual([2, expect.stringContaining("--yes")]);
  });

  test("in a process that cannot be seen", async () => {
    const { code, err } = await refused(["--yes"], { lemond: { pids: "hidden" } });
    expect([code, err]).toEqual([1, expect.stringContaining("the process of slot primary cannot be seen from here")]);
  });

  test("where there is no such slot, and of a server that wants another key", async () => {
    expect((await refused(["nobody", "--yes"])).err).toContain("there is no slot nobody; there are: primary");
    await stack?.[Symbol.asyncDispose]();
    const { code, err } = await refused(["--yes"], { server: { apiKeys: ["a-key"] } });
    expect([code, err]).toEqual([1, expect.stringContaining("wants a key")]);
  });

  test("while others are answered", async () => {
    stack = await start();
    const stream = await stack.chat({ stream: true, sim: { tokens: 10_000, tokenMs: 10 } });
    const { code, err } = await drill(["--url", stack.url, "--yes"]);
    expect([code, err]).toEqual([1, expect.stringContaining("slot primary has another request in flight")]);
    expect(stack.child().isAlive).toBe(true);
    await stream.body?.cancel();
  });

  test("at an address where nothing answers, or something else", async () => {
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(null, { status: 404 }) });
    expect((await drill(["--url", other.url.origin, "--yes"])).err).toContain("is that hal0-dispatch?");
    const { code, err } = await drill(["--url", "http://127.0.0.1:9", "--yes"]);
    expect([code, err]).toEqual([1, expect.stringContaining("nothing answers at http://127.0.0.1:9")]);
  });
});

describe("asked on a terminal", () => {
  test.each([
    ["n", 0],
    ["y", 3],
  ] as const)("%s", async (answer, ended) => {
    await using stack = await start();
    const command = ["sh", "-c", '"$@"; echo "exit $?"', "sh", ...program, "primary", "--url", stack.url];
    await using terminal = openTerminal(command, env, tmpdir());
    await terminal.shows(/Go on\? \[y\/N\]/);
    terminal.type(`${answer}\n`);
    await terminal.shows(/exit \d/);
    const children = stack.lemond.children();
    await Promise.all(children.slice(0, ended).map(({ exited }) => exited));
    expect(children.slice(ended).filter(({ isAlive }) => !isAlive)).toEqual([]);
  });
});

test("the key and the address are the service's own", async () => {
  await using stack = await start({ server: { apiKeys: ["a-key"] }, slots: [], loaded: ["tiny-a"] });
  const config = join(tmpdir(), `hal0-drill-${process.pid}.toml`);
  await Bun.write(config, `server.port = ${new URL(stack.url).port}\n`);
  const { out } = await drill(["--yes"], { HAL0_DISPATCH_CONFIG: config, HAL0_DISPATCH_API_KEYS: "a-key" });
  // Without a slot of that name the only model that is loaded is meant.
  expect(out).toStartWith(`slot tiny-a (tiny-a) at ${stack.url}: a chat takes`);
  expect(rounds(out).length).toBe(3);
  await Bun.file(config).delete();
});
