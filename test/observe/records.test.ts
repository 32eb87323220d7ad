// Records over restarts: one small file, whose loss or damage costs nothing else.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MOST_FILE_BYTES, readRecords, writeRecords } from "../../src/observe/records-file.ts";
import type { RepairEntry } from "../../src/observe/repairs.ts";
import type { RequestRecord } from "../../src/observe/requests.ts";
import { startBinary } from "../binary.ts";
import { follow } from "../feed.ts";
import { startLemond } from "../lemond/index.ts";
import { startStack, type Stack } from "../stack.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "hal0-state-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
/** The executable may have to be built first, on a busy machine. */
const BUILD_MS = 60_000;
const file = (): string => join(folder, "records.json");

const get = async <T>(url: string, path: string): Promise<T> => (await (await fetch(`${url}${path}`)).json()) as T;

async function totalsOf(url: string): Promise<unknown> {
  const feed = follow(await fetch(`${url}/api/slots/events`));
  const { data } = await feed.until(({ event }) => event === "totals");
  await feed.cancel();
  return data;
}

/** One chat that was recovered and one that was not. */
async function use(stack: Stack): Promise<void> {
  await (await stack.chat({ headers: { "x-request-id": "whole" } })).text();
  await stack.child().kill();
  await (await stack.chat({ headers: { "x-request-id": "recovered" } })).text();
}

test("requests, repairs and totals outlive a restart", async () => {
  await using lemond = await startLemond();
  const options = { sharedLemond: lemond, stateFolder: folder, lemonade: { pollMs: 60_000 } };
  let before: { requests: RequestRecord[]; repairs: RepairEntry[]; totals: unknown };
  {
    await using stack = await startStack(options);
    await use(stack);
    before = {
      requests: await get(stack.url, "/api/requests"),
      repairs: await get(stack.url, "/api/repairs"),
      totals: await totalsOf(stack.url),
    };
  }
  expect(before.requests.map(({ request_id }) => request_id)).toEqual(["recovered", "whole"]);
  expect(before.repairs).toHaveLength(1);
  expect(before.totals).toMatchObject({ today: { served: 2, recovered: 1 } });
  expect(readdirSync(folder)).toEqual(["records.json"]);
  expect(statSync(file()).mode & 0o777).toBe(0o600);
  expect(readFileSync(file(), "utf8")).not.toContain("hello");

  await using again = await startStack(options);
  expect(await get<RequestRecord[]>(again.url, "/api/requests")).toEqual(before.requests);
  expect(await get<RepairEntry[]>(again.url, "/api/repairs")).toEqual(before.repairs);
  expect(await totalsOf(again.url)).toEqual(before.totals);
  await (await again.chat({ headers: { "x-request-id": "third" } })).text();
  expect((await get<RequestRecord[]>(again.url, "/api/requests")).map(({ request_id }) => request_id)).toEqual([
    "third",
    "recovered",
    "whole",
  ]);
});

test(
  "the executable keeps them where systemd's STATE_DIRECTORY says, at SIGTERM",
  async () => {
    await using lemond = await startLemond();
    await lemond.load("tiny-a");
    const start = () =>
      startBinary({
        toml: `server.port = 0\nlemonade.url = "${lemond.url}"\n`,
        env: { STATE_DIRECTORY: `${folder}:/nowhere` },
      });
    {
      await using binary = await start();
      const body = JSON.stringify({ model: "tiny-a", messages: [{ role: "user", content: "hi" }] });
      const reply = await fetch(`${binary.url}/v1/chat/completions`, { method: "POST", body });
      await reply.text();
      expect(existsSync(file())).toBe(false);
      binary.signal("SIGTERM");
      expect(await binary.exited).toBe(0);
    }
    await using again = await start();
    expect(await get<RequestRecord[]>(again.url, "/api/requests")).toHaveLength(1);
  },
  BUILD_MS,
);

test.each([
  ["half a file", '{"version":1,"requests":['],
  ["a file of another version", '{"version":2,"days":[],"repairs":[],"requests":[]}'],
  ["no JSON", "\0\0\0"],
  [
    "a file larger than is ever written",
    `{"version":1,"days":[],"repairs":[],"requests":[]}${" ".repeat(MOST_FILE_BYTES)}`,
  ],
])("%s is said, serves all the same, and is replaced", async (_, text) => {
  writeFileSync(file(), text);
  {
    await using stack = await startStack({ stateFolder: folder });
    expect(stack.logged("records.unreadable")).toMatchObject([{ level: "warn", path: file() }]);
    expect((await stack.chat()).status).toBe(200);
  }
  await using again = await startStack({ stateFolder: folder });
  expect(again.logged("records.unreadable")).toEqual([]);
  expect(await get<RequestRecord[]>(again.url, "/api/requests")).toHaveLength(1);
});

test("entries that do not fit are left out, the others stay", () => {
  const day = { day: "2026-11-24", served: 3, continued: 0, fell_back: 0, recovered: 1, waited_ms: 2000 };
  const repair = {
    time: "t",
    slot: "s",
    cause: "reset",
    outcome: "recovered",
    from: null,
    to: null,
    duration_s: 1,
    request_id: null,
  };
  const text = JSON.stringify({
    version: 1,
    days: [day, { ...day, served: "many" }, null],
    repairs: [{ ...repair, slot: 1 }, repair],
    requests: [{ at: "now" }],
  });
  writeFileSync(file(), text);
  expect(readRecords(folder)).toEqual({ days: [day], repairs: [repair as RepairEntry], requests: [] });
});

test("a folder that cannot be written to is said once, and everything goes on in memory", async () => {
  const gone = join(folder, "gone");
  await using stack = await startStack({ stateFolder: gone });
  await use(stack);
  expect(await get<RequestRecord[]>(stack.url, "/api/requests")).toHaveLength(2);
  // Each stop tries to write.
  for (let n = 0; n < 2; n++) await stack.server.stop();
  expect(stack.logged("records.not_written")).toMatchObject([{ level: "warn", error: "ENOENT" }]);
});

test("a write that fails leaves the old file whole and nothing beside it", async () => {
  const kept = { days: [], repairs: [], requests: [] };
  await writeRecords(folder, kept);
  const before = readFileSync(file(), "utf8");
  // The move fails where the name is a folder that is not empty.
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(join(elsewhere, "records.json", "in the way"), { recursive: true });
  await expect(writeRecords(elsewhere, kept)).rejects.toThrow();
  expect(readdirSync(elsewhere)).toEqual(["records.json"]);
  expect(readFileSync(file(), "utf8")).toBe(before);
});

test("names as long and as strange as can be leave the file below its limit", async () => {
  const name = "\u0001".repeat(200);
  const request = {
    request_id: name,
    model: name,
    upstream: name,
    route: name,
    fallback: name,
    at: name,
  } as RequestRecord;
  const many = Array.from({ length: 200 }, () => request);
  await writeRecords(folder, { days: [], repairs: [], requests: many });
  expect(statSync(file()).size).toBeLessThanOrEqual(MOST_FILE_BYTES);
  expect(JSON.parse(readFileSync(file(), "utf8")).requests.length).toBeGreaterThan(50);
});
