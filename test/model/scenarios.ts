// What is explored: each scenario is small, and together they hold what may happen at once.
import { slotDefaults } from "../../src/config/config.ts";
import type { SlotConfig } from "../../src/config/config.ts";
import type { Settings } from "../../src/slots/known.ts";
import { type Budget, none, type Ordered, type Scenario } from "./world.ts";

const HOLD_MS = 8000;
const NEVER_MS = 1e9;

const slot = (name: string, model: string, more: Partial<SlotConfig> = {}): SlotConfig => ({
  ...slotDefaults,
  holdMs: HOLD_MS,
  idleAfterMs: NEVER_MS,
  name,
  model,
  ...more,
});

const settings: Settings = {
  lemondUrl: "http://127.0.0.1:13305",
  pollMs: 60_000,
  touchMs: 0,
  loadTimeoutMs: 6000,
  drainMs: 4000,
  maxWaiting: 8,
  maxHeldBytes: 100,
  autoSlots: true,
  slotDefaults: { ...slotDefaults, holdMs: HOLD_MS, idleAfterMs: NEVER_MS },
};

type Variant = Partial<Omit<Scenario, "budget">> & { readonly budget?: Partial<Budget> };

const base: Omit<Scenario, "name" | "budget"> = {
  slots: [slot("a", "X"), slot("b", "Y")],
  reloaded: [],
  settings,
  models: ["X", "Y", "W"],
  loaded: ["X"],
  room: 1,
  isNoticing: true,
  arePidsVisible: true,
  requests: [{ slot: "a" }, { slot: "b" }],
  orders: [],
  depth: 14,
};

const scenario = (name: string, { budget = {}, ...variant }: Variant): Scenario => ({
  ...base,
  ...variant,
  name,
  budget: { ...none, ...budget },
});

/** lemond 11.7 takes a dead child off its list, 10.6 does not. */
const onBoth = (name: string, variant: Variant): Scenario[] => [
  scenario(`${name} (lemond 11.7)`, { ...variant, isNoticing: true }),
  scenario(`${name} (lemond 10.6)`, { ...variant, isNoticing: false }),
];

const BOTH_A = [{ slot: "a" }, { slot: "a" }];
const ONE_A = [{ slot: "a" }];
const held = [slot("a", "X", { gate: "hold" }), slot("b", "Y")];
const orders: readonly Ordered[] = [
  { slot: "a", action: "load" },
  { slot: "a", action: "unload" },
  { slot: "a", action: "restart" },
  { slot: "a", action: "swap", model: "W" },
  { slot: "a", action: "load", isForwarded: true },
  { slot: "a", action: "unload", isForwarded: true },
];
const wordsOf = ({ action, isForwarded = false }: Ordered): string =>
  `${action}${isForwarded ? " on lemond's path" : ""}`;

export const scenarios: readonly Scenario[] = [
  ...onBoth("two requests, and a child that dies", {
    requests: BOTH_A,
    budget: { kills: 1, loadFailures: 1 },
    depth: 14,
  }),
  ...onBoth("a request, and a child that dies twice", {
    requests: ONE_A,
    budget: { kills: 2, slowLoads: 1 },
    depth: 20,
  }),
  scenario("two slots and room for one", { depth: 14 }),
  scenario("two slots and room for one, the other way round", { requests: [{ slot: "b" }, { slot: "a" }], depth: 14 }),
  scenario("two slots, room for one, and a child that dies", { budget: { kills: 1 } }),
  ...onBoth("a lemond that goes and comes back", { requests: BOTH_A, budget: { downs: 1, kills: 1 } }),
  scenario("a lemond whose port refuses for a while, and a child that is busy", {
    requests: ONE_A,
    budget: { refusals: 1, busy: 1, resets: 1 },
    depth: 16,
  }),
  scenario("a lemond that is silent", { requests: BOTH_A, budget: { silences: 2, resets: 1 } }),
  scenario("an answer of lemond that comes late", {
    settings: { ...settings, pollMs: 3000 },
    requests: ONE_A,
    budget: { lateAnswers: 1, kills: 1 },
    depth: 14,
  }),
  scenario("another client's load", { requests: ONE_A, budget: { visits: 1, uses: 1, leaves: 1 }, depth: 16 }),
  scenario("another client's load while the slot is looked at", {
    requests: BOTH_A,
    budget: { visits: 1, resets: 1 },
    depth: 10,
  }),
  scenario("another client's load, two slots", { budget: { visits: 1 }, depth: 13 }),
  scenario("another client's load, room for two", {
    room: 2,
    loaded: ["X", "Y"],
    requests: ONE_A,
    budget: { visits: 1, uses: 1 },
  }),
  ...orders.map((order) =>
    scenario(`two requests and an operator's ${wordsOf(order)}`, {
      requests: BOTH_A,
      orders: [order],
      budget: { kills: 1, unloadFailures: 1, loadFailures: 1 },
      depth: 11,
    }),
  ),
  ...orders.map((order) =>
    scenario(`a request that the gate holds, and an operator's ${wordsOf(order)}`, {
      slots: held,
      requests: ONE_A,
      orders: [order],
      budget: { downs: 1 },
      depth: 14,
    }),
  ),
  scenario("a load on lemond's path, and a lemond that is away", {
    requests: ONE_A,
    orders: [{ slot: "a", action: "load", isForwarded: true }],
    budget: { refusals: 1, denials: 1, loadFailures: 1 },
  }),
  scenario("the end of the process", {
    requests: ONE_A,
    orders: [{ slot: "a", action: "restart" }],
    budget: { drains: 1 },
    depth: 20,
  }),
  scenario("a swap to the model of a slot without a section", {
    room: 2,
    loaded: ["X", "W"],
    requests: [{ model: "W" }, { slot: "a" }],
    orders: [{ slot: "a", action: "swap", model: "W" }],
    budget: { kills: 1, unloadFailures: 1 },
    depth: 11,
  }),
  scenario("a swap of a slot without a section", {
    room: 2,
    loaded: ["X", "W"],
    models: ["X", "Y", "W", "V"],
    requests: [{ model: "W" }, { slot: "W" }],
    orders: [{ slot: "W", action: "swap", model: "V" }],
    budget: { kills: 1 },
  }),
  scenario("requests for a model by its name, and a swap", {
    slots: held,
    room: 2,
    loaded: ["X"],
    requests: [{ model: "W" }, { model: "X" }],
    orders: [{ slot: "a", action: "swap", model: "W" }],
    budget: { unloadFailures: 1 },
  }),
  ...onBoth("a reload without the slot whose stream is cut", {
    reloaded: [slot("b", "Y")],
    requests: ONE_A,
    budget: { reloads: 1, kills: 1, continuations: 1 },
  }),
  scenario("a reload that gives a slot's next model to another", {
    room: 2,
    reloaded: [slot("b", "W"), slot("a", "X")],
    requests: BOTH_A,
    orders: [{ slot: "a", action: "swap", model: "W" }],
    budget: { reloads: 1 },
    depth: 14,
  }),
  scenario("a reload while a slot loads", {
    loaded: [],
    reloaded: [slot("a", "Y"), slot("b", "X")],
    requests: BOTH_A,
    budget: { reloads: 1, kills: 1 },
    depth: 10,
  }),
  scenario("two models whose names differ in the prefix", {
    models: ["X", "user.X"],
    slots: [slot("a", "X")],
    room: 2,
    requests: [{ model: "X" }, { model: "user.X" }],
    budget: { kills: 1 },
    depth: 10,
  }),
];

const all: Budget = {
  kills: 3,
  resets: 2,
  leaves: 2,
  continuations: 2,
  visits: 2,
  uses: 2,
  downs: 1,
  refusals: 1,
  silences: 3,
  denials: 1,
  busy: 2,
  loadFailures: 2,
  unloadFailures: 2,
  slowLoads: 2,
  touchFailures: 1,
  lateAnswers: 2,
  drains: 1,
  reloads: 1,
};

const three = [slot("a", "X", { gate: "hold" }), slot("b", "Y"), slot("c", "Z")];
const many = [
  { slot: "a" },
  { slot: "b" },
  { model: "W" },
  { slot: "a" },
  { slot: "c" },
  { slot: "a" },
  { slot: "b" },
  { model: "X" },
];
const some: readonly Ordered[] = [
  { slot: "a", action: "swap", model: "W" },
  { slot: "b", action: "restart" },
  { slot: "a", action: "load", isForwarded: true },
  { slot: "c", action: "unload" },
];

/** Everything at once: too much to be exhausted, run at random. */
export const crowds: readonly Scenario[] = [1, 2].flatMap((room) =>
  [true, false].flatMap((isNoticing) =>
    [true, false].flatMap((arePidsVisible) =>
      [0, 5000].map((touchMs) =>
        scenario(
          `a crowd, room for ${room}, lemond ${isNoticing ? "11.7" : "10.6"}, pids ${arePidsVisible ? "" : "in"}visible, ${touchMs > 0 ? "with" : "without"} touches`,
          {
            slots: touchMs > 0 ? three.map((one, at) => ({ ...one, keep: at === 1, idleAfterMs: 10_000 })) : three,
            reloaded: [slot("b", "W"), slot("a", "X")],
            settings: { ...settings, pollMs: 5000, touchMs },
            models: ["X", "Y", "Z", "W", "user.X"],
            loaded: room === 1 ? ["X"] : ["Y", "X"],
            room,
            isNoticing,
            arePidsVisible,
            requests: many,
            orders: some,
            budget: { ...all, drains: touchMs > 0 ? 1 : 0 },
          },
        ),
      ),
    ),
  ),
);
