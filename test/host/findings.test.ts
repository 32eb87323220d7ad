// What doctor says of states that are hard to bring about: a table over what was seen.
import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/config.ts";
import type { Finding, Seen, SeenLemond } from "../../src/host/finding.ts";
import { findings } from "../../src/host/findings.ts";
import type { LoadedModel } from "../../src/lemonade/listing.ts";
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
const lemond: SeenLemond = {
  name: null,
  config: config.lemonade,
  slots: config.slots,
  isHere: true,
  health: listing,
  isLive: true,
  isOther: false,
  models: [{ id: "tiny-a", isDownloaded: true, type: "llm" }],
  evictsByDefault: false,
  children: [{ loaded, sign: "ok", isPidVisible: true }],
};
const seen: Seen = { config, version: VERSION, lemonds: [lemond], port: { kind: "free" } };
const withLemond = (more: Partial<SeenLemond>): Partial<Seen> => ({ lemonds: [{ ...lemond, ...more }] });
const child = (sign: SeenLemond["children"][number]["sign"]): Partial<Seen> =>
  withLemond({ children: [{ loaded, sign, isPidVisible: false }] });
const at = (url: string): Partial<SeenLemond> => ({ config: { ...config.lemonade, url } });
const silent = (cause: string): Partial<SeenLemond> => ({ health: { kind: "silent", cause } });
const untouched = { config: { ...config.lemonade, touchMs: 0 } };
const withPort = (port: number): Partial<Seen> => ({ config: { ...config, server: { ...config.server, port } } });

test("nothing to complain of is well", () => {
  expect(levels(findings(seen))).toEqual(findings(seen).map(() => "ok"));
});

test.each<[string, Partial<Seen>, Finding["level"], RegExp]>([
  ["a lemond that unloads", withLemond(silent("no answer in time")), "warning", /does not answer \/v1\/health/],
  [
    "a mute server",
    withLemond({ ...silent("no answer in time"), isLive: false }),
    "serious",
    /does not answer as lemond does/,
  ],
  [
    "another server",
    withLemond({ ...silent("health answered 404: no error text"), isOther: true }),
    "serious",
    /the server at http:\/\/127\.0\.0\.1:13305 is not lemond/,
  ],
  [
    "no list of models",
    withLemond({ models: null, health: { ...listing, loaded: [] } }),
    "warning",
    /does not list its models/,
  ],
  ["eviction by default", withLemond({ evictsByDefault: true, ...untouched }), "serious", /touch_s is 0/],
  [
    "a model elsewhere",
    withLemond({ health: { ...listing, distrusted: ["far"] } }),
    "serious",
    /far runs on another machine/,
  ],
  [
    "a lemond elsewhere that answers",
    withLemond({ isHere: false, ...at("http://192.0.2.1:13305") }),
    "warning",
    /lemond is on another machine \(http:\/\/192\.0\.2\.1:13305\): requests for its models go through its own port/,
  ],
  [
    "a lemond elsewhere that does not",
    withLemond({ isHere: false, ...at("http://192.0.2.1:13305"), health: { kind: "refused" } }),
    "warning",
    /lemond is on another machine/,
  ],
  [
    "a further lemond",
    withLemond({ name: "attic", health: { kind: "refused" } }),
    "serious",
    /where lemond attic should be/,
  ],
  ["a busy child", child("silent"), "warning", /does not answer/],
  ["a stranger at the port", child("stranger"), "warning", /another model answers/],
  ["a child that loads", child("loading"), "ok", /still loading/],
  [
    "a model that goes through lemond",
    child(null),
    "ok",
    /tiny-a \(llamacpp\) is loaded; its requests go through lemond/,
  ],
  ["an older program that runs", { port: { kind: "ours", version: "0.0.1" } }, "warning", /0\.0\.1 runs/],
  ["a low port", withPort(80), "warning", /below 1024/],
])("%s", (_, more, level, what) => {
  const found = findings({ ...seen, ...more }).filter((finding) => what.test(finding.what));
  expect(levels(found)).toEqual([level]);
  expect(found[0]?.advice === null).toBe(level === "ok");
});

test("a model for which eviction is switched off is not said to be evicted", () => {
  const health = { ...listing, loaded: [{ ...loaded, options: { auto_evict: false } }] };
  const found = findings({ ...seen, ...withLemond({ health, ...untouched }) });
  expect(found.some(({ what }) => what.includes("evicts"))).toBe(false);
});

describe("where prompts leave this machine", () => {
  const far = { name: "far", url: "https://openrouter.ai/api/v1", apiKey: null, models: ["openai/*", "m"] };
  const near = { name: "near", url: "http://127.0.0.1:9000/v1", apiKey: null, models: ["n"] };
  const [primary] = config.slots;
  const told = (more: Partial<Config>, lemonds: readonly SeenLemond[] = [lemond]): string[] =>
    findings({ ...seen, config: { ...config, ...more }, lemonds })
      .filter(({ what }) => what.startsWith("prompts"))
      .map(({ level, what }) => `${level}: ${what}`);
  const slotWith = (...upstreams: string[]): Config["slots"] =>
    primary ? [{ ...primary, fallback: upstreams.map((upstream) => ({ upstream, model: null })) }] : [];

  test("nowhere, if nothing says so", () => {
    const nowhere = ["ok: prompts go to lemond alone: no upstream elsewhere is configured"];
    expect(told({})).toEqual(nowhere);
    expect(told({ upstreams: [near], slots: slotWith("near") })).toEqual(nowhere);
  });

  test("to a remote that is asked for by its models", () => {
    expect(told({ upstreams: [far, near] })).toEqual([
      "ok: prompts for openai/*, m leave this machine: to far at https://openrouter.ai",
    ]);
  });

  test("to a fallback that nobody asked for, a remote or a slot of a lemond elsewhere", () => {
    const attic: SeenLemond = {
      ...lemond,
      name: "attic",
      isHere: false,
      ...at("http://192.0.2.1:13305"),
      slots: primary ? [{ ...primary, name: "big", lemonade: "attic" }] : [],
    };
    expect(told({ upstreams: [far], slots: slotWith("far", "big", "small") }, [lemond, attic]).slice(1)).toEqual([
      "warning: prompts for slot primary leave this machine while it cannot answer: to far at https://openrouter.ai",
      "warning: prompts for slot primary leave this machine while it cannot answer: to big at http://192.0.2.1:13305",
    ]);
  });
});
