// What doctor says of states that are hard to bring about: a table over what was seen.
import { expect, test } from "bun:test";
import type { Config } from "../../src/config/config.ts";
import { type Finding, findings, type Seen } from "../../src/host/findings.ts";
import type { LoadedModel } from "../../src/lemonade/lemonade.ts";
import { stackConfig } from "../stack.ts";

const VERSION = "0.0.0-test";
const levels = (found: readonly Finding[]): string[] => found.map(({ level }) => level);

const loaded: LoadedModel = {
  model: "tiny-a",
  url: "http://127.0.0.1:8001/v1",
  pid: 7,
  checkpoint: "/a",
  type: "llm",
  options: {},
  recipe: "llamacpp",
  isReachable: true,
  lastUse: null,
  isBusy: false,
};
const config: Config = stackConfig("http://127.0.0.1:13305");
const listing = {
  kind: "listing",
  askedAt: 1,
  loaded: [loaded],
  maxModels: { llm: 1 },
  modelLoaded: null,
  version: "11.7.0",
  distrusted: [],
} as const;
const seen: Seen = {
  config,
  version: VERSION,
  health: listing,
  isLive: true,
  models: [{ id: "tiny-a", isDownloaded: true, type: "llm" }],
  evictsByDefault: false,
  children: [{ loaded, sign: "ok", isPidVisible: true }],
  port: { kind: "free" },
};
const child = (sign: Seen["children"][number]["sign"]): Partial<Seen> => ({
  children: [{ loaded, sign, isPidVisible: false }],
});
const withLemonade = (lemonade: Partial<Config["lemonade"]>): Partial<Seen> => ({
  config: { ...config, lemonade: { ...config.lemonade, ...lemonade } },
});
const withPort = (port: number): Partial<Seen> => ({ config: { ...config, server: { ...config.server, port } } });

test("nothing to complain of is well", () => {
  expect(levels(findings(seen))).toEqual(findings(seen).map(() => "ok"));
});

test.each<[string, Partial<Seen>, Finding["level"], RegExp]>([
  [
    "a lemond that unloads",
    { health: { kind: "silent", cause: "no answer in time" } },
    "warning",
    /does not answer \/v1\/health/,
  ],
  [
    "another server",
    { health: { kind: "silent", cause: "health answered 404: no error text" }, isLive: false },
    "serious",
    /does not answer as lemond/,
  ],
  [
    "no list of models",
    { models: null, health: { ...listing, loaded: [] }, children: [] },
    "warning",
    /does not list its models/,
  ],
  [
    "eviction in lemond's own configuration",
    { evictsByDefault: true, ...withLemonade({ touchMs: 0 }) },
    "serious",
    /touch_s is 0/,
  ],
  ["a model elsewhere", { health: { ...listing, distrusted: ["far"] } }, "serious", /far runs on another machine/],
  [
    "a lemond elsewhere",
    { ...child("refused"), ...withLemonade({ url: "http://192.0.2.1:13305" }) },
    "serious",
    /listens there only/,
  ],
  ["a busy child", child("silent"), "warning", /does not answer/],
  ["a stranger at the port", child("stranger"), "warning", /another model answers/],
  ["a child that loads", child("loading"), "ok", /still loading/],
  ["an older program that runs", { port: { kind: "ours", version: "0.0.1" } }, "warning", /0\.0\.1 runs/],
  ["a low port", withPort(80), "warning", /below 1024/],
])("%s", (_, more, level, what) => {
  const found = findings({ ...seen, ...more }).filter((finding) => what.test(finding.what));
  expect(levels(found)).toEqual([level]);
  expect(found[0]?.advice === null).toBe(level === "ok");
});

test("a model for which eviction is switched off is not said to be evicted", () => {
  const options = { auto_evict: false };
  const health = { ...listing, loaded: [{ ...loaded, options }] };
  const found = findings({ ...seen, health, ...withLemonade({ touchMs: 0 }) });
  expect(found.some(({ what }) => what.includes("evicts"))).toBe(false);
});
