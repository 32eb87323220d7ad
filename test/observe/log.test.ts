// What log lines look like, and what becomes of them where nobody reads.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Line } from "../binary.ts";
import { createLog, type LogFormat } from "../../src/observe/log.ts";
import { openTerminal } from "../terminal.ts";

function written(format: LogFormat): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog("info", (line) => void lines.push(line), format) };
}

test("a line is JSON, or text that a person reads", () => {
  const fields = { slot: "primary", target: "http://127.0.0.1:8001/v1", took_ms: 12, error: 'a "b"\nc', pid: null };
  const json = written("json");
  json.log.warn("slot.transition", fields);
  expect(JSON.parse(json.lines.join())).toEqual({
    ts: expect.any(String),
    level: "warn",
    event: "slot.transition",
    ...fields,
  });
  const text = written("text");
  text.log.warn("slot.transition", { ...fields, absent: undefined });
  text.log.debug("slot.transition");
  text.log.setFormat("json");
  text.log.info("server.stopped");
  expect(text.lines[0]).toMatch(
    /^\d\d:\d\d:\d\d warn  slot\.transition slot=primary target=http:\/\/127\.0\.0\.1:8001\/v1 took_ms=12 error="a \\"b\\"\\nc" pid=null\n$/,
  );
  expect(JSON.parse(text.lines[1] ?? "")).toMatchObject({ event: "server.stopped" });
});

test("lines that are refused are counted, and the next that is taken is told how many", () => {
  const lines: Line[] = [];
  let isRead = true;
  const log = createLog("info", (line) => isRead && lines.push(JSON.parse(line)) > 0);
  log.info("one");
  isRead = false;
  for (const event of ["two", "three"]) log.info(event);
  isRead = true;
  for (const event of ["four", "five"]) log.info(event);
  expect(lines.map(({ event, lines }) => [event, lines])).toEqual([
    ["one", undefined],
    ["log.dropped", 2],
    ["four", undefined],
    ["five", undefined],
  ]);
});

test("where nobody reads stdout 1 MB of lines waits, the rest is counted, and it flows again when somebody reads", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hal0-log-"));
  const program = join(folder, "writes.ts");
  // 20,000 lines of 200 bytes while the reader waits; then one every 5 ms until it is told to stop.
  writeFileSync(
    program,
    `import { createLineWriter, createLog } from ${JSON.stringify(resolve("src/observe/log.ts"))};
    const log = createLog("info", createLineWriter(process.stdout), "json", setImmediate);
    for (let at = 0; at < 20_000; at += 1) {
      log.info("line", { at, text: "x".repeat(130) });
      if (at % 100 === 0) await Bun.sleep(0);
    }
    process.stderr.write("written");
    let at = 20_000;
    setInterval(() => log.info("line", { at: at++ }), 5);
    // Whatever becomes of the test, this does not outlive it.
    process.stdout.on("error", () => process.exit());
    setTimeout(() => process.exit(), 60_000);`,
  );
  try {
    Bun.spawnSync(["mkfifo", join(folder, "go")]);
    const child = Bun.spawn(["sh", "-c", '"$1" "$2" | { read -r _ <go; cat; }', "sh", process.execPath, program], {
      cwd: folder,
      stdout: "pipe",
      stderr: "pipe",
    });
    for await (const chunk of child.stderr) if (new TextDecoder().decode(chunk).includes("written")) break;
    writeFileSync(join(folder, "go"), "go\n");
    const lines: Line[] = [];
    let rest = "";
    let readBytes = 0;
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      readBytes += chunk.length;
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts.map((line): Line => JSON.parse(line)));
      if (lines.some(({ event }) => event === "log.dropped") && lines.at(-1)?.event === "line") break;
    }
    child.kill("SIGKILL");
    // What waited in the program, and in the pipe before it.
    expect(readBytes).toBeLessThan(1.5e6);
    const gap = lines.findIndex(({ event }) => event === "log.dropped");
    const [before, after] = [lines[gap - 1]?.["at"], lines[gap + 1]?.["at"]];
    expect(Number(after) - Number(before) - 1).toBe(Number(lines[gap]?.["lines"]));
    expect(lines[gap]?.["lines"]).toBeGreaterThan(10_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("on a terminal the program writes text unless JSON is asked for", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hal0-log-"));
  for (const [format, line] of [
    ["auto", /\d info  server\.started url=http:\/\/127/],
    ["json", /"event":"server\.started"/],
  ] as const) {
    writeFileSync(
      join(folder, "dispatch.toml"),
      `server.port = 0\nserver.log_format = "${format}"\nlemonade.url = "http://127.0.0.1:9"\n`,
    );
    const command = [process.execPath, resolve("src/main.ts"), "--config", join(folder, "dispatch.toml")];
    await using terminal = openTerminal(command, {}, folder);
    await terminal.shows(line);
  }
  rmSync(folder, { recursive: true });
});

test("the last thousand lines are remembered, in either format, and whoever has some gets the rest", () => {
  const { log } = written("text");
  log.debug("below");
  for (let n = 0; n < 2500; n++) log.info("one", { n });
  expect(log.after(0)).toMatchObject({ count: 2500, lines: { length: 1000 } });
  expect(log.after(0).lines.at(-1)).toEqual({ ts: expect.any(String), level: "info", event: "one", n: 2499 });
  expect(log.after(2498).lines.map((line) => line["n"])).toEqual([2498, 2499]);
  expect(log.after(2500).lines).toEqual([]);
});
