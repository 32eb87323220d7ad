// Watches kept slots beside the epochs, with a server and lemonds of their own: nobody asks for them, and each that is lost is
// back after its back-off and its load, by one load.
import { startLemond, type Lemond } from "../lemond/index.ts";
import { slotsShown } from "./calm.ts";
import { createDiary } from "./diary.ts";
import { OUTSIDE } from "./ledger.ts";
import { createRandom, type Random } from "./random.ts";
import type { Tally } from "./report.ts";
import { startTarget, type Target } from "./target.ts";

export interface KeptOptions {
  readonly seed: number;
  readonly binary: string | null;
  readonly onLine: (line: string) => void;
  readonly tally: Tally;
}

const SLOTS = ["first", "second"] as const;
/** A loss within a minute of the load is followed by a back-off that doubles. */
const BACK_OFF_MS = 5000;
const LOSSES = 2;
/** What is lost is seen by the next poll, and the machine is busy. */
const LATE_MS = 4000;
const LOOK_MS = 50;
/** An answer that takes so long tells of the server, not of its slots. */
const SLOW_MS = 500;
/** A clock that is read on both sides of a wait. */
const EARLY_MS = 50;

/** Goes round after round until the campaign is over; resolves soon after. */
export async function watchKept(options: KeptOptions, isOver: () => boolean): Promise<void> {
  const random = createRandom(options.seed);
  for (let nth = 0; !isOver(); nth += 1) {
    const version = nth % 2 === 0 ? "11.7" : "10.6";
    const loadMs = random.int(40, 600);
    await using lemond = await startLemond({
      version,
      maxModels: -1,
      loadMs,
      unloadMs: 20,
      graceMs: 100,
      models: SLOTS.map((id) => ({ id })),
    });
    const target = await startTarget({ ...options, text: () => configText(lemond.url) });
    const diary = createDiary(target, lemond);
    const violate = (what: string): void => {
      const around = diary.around({ names: SLOTS, requestId: null, sentMs: Date.now() - BACK_OFF_MS * LOSSES });
      options.tally.violation(nth, `kept slots of lemond ${version}: ${what}`, null, around);
    };
    try {
      await Promise.all(
        SLOTS.map((slot) =>
          lane({ slot, lemond, target, loadMs, random, violate, note: diary.note, isOver, ...options }),
        ),
      );
      for (const fault of target.faults) violate(fault);
    } finally {
      if ((await target.stop()) !== 0) violate("the server did not end well");
    }
  }
}

interface Lane extends KeptOptions {
  readonly slot: (typeof SLOTS)[number];
  readonly lemond: Lemond;
  readonly target: Target;
  readonly loadMs: number;
  readonly random: Random;
  readonly violate: (what: string) => void;
  readonly note: (text: string) => void;
  readonly isOver: () => boolean;
}

/** One slot: there at the start, lost and back, lost again and back later. */
async function lane({ slot, lemond, target, loadMs, random, violate, note, isOver, tally }: Lane): Promise<void> {
  // Loads take turns.
  const loadsMs = SLOTS.length * loadMs;
  if ((await back(target, slot, null, loadsMs + LATE_MS, isOver, note)) === "late")
    return violate(`${slot} was not loaded at first`);
  for (let nth = 0; nth < LOSSES && !isOver(); nth += 1) {
    const child = lemond.child(slot);
    if (!child) return violate(`${slot} is ready without a child`);
    const loads = lemond.loads(slot);
    const how = random.pick(["kill", "unload"]);
    tally.struck(`kept ${how}`);
    const beganMs = performance.now();
    if (how === "kill") await child.kill();
    else await unloadFromOutside(lemond, slot);
    const backOffMs = BACK_OFF_MS * 2 ** nth;
    const end = await back(target, slot, child.pid, backOffMs + loadsMs + LATE_MS, isOver, note);
    if (end === "over") return;
    const tookMs = Math.round(performance.now() - beganMs);
    const about = `${slot}, lost by ${how} for the ${nth === 0 ? "first" : "second"} time,`;
    if (end === "late") return violate(`${about} was not back after ${tookMs} ms`);
    if (tookMs < backOffMs - EARLY_MS) violate(`${about} was loaded after ${tookMs} ms already`);
    if (lemond.loads(slot) !== loads + 1) violate(`${about} came back by ${lemond.loads(slot) - loads} loads`);
    tally.keptBack();
  }
}

/** Resolves when the slot has a child of another pid and is well. */
async function back(
  { url }: Target,
  slot: string,
  pid: number | null,
  withinMs: number,
  isOver: () => boolean,
  note: (text: string) => void,
): Promise<"back" | "late" | "over"> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    if (isOver()) return "over";
    const askedMs = performance.now();
    const shown = (await slotsShown(url)).find(({ name }) => name === slot);
    const tookMs = performance.now() - askedMs;
    if (tookMs > SLOW_MS) note(`the server took ${Math.round(tookMs)} ms to show its slots`);
    if (shown && shown.pid !== null && shown.pid !== pid && ["ready", "idle"].includes(shown.state)) return "back";
    await Bun.sleep(LOOK_MS);
  }
  return "late";
}

async function unloadFromOutside({ url }: Lemond, model: string): Promise<void> {
  const headers = { "content-type": "application/json", connection: "close", [OUTSIDE]: "1" };
  const body = JSON.stringify({ model_name: model });
  await (await fetch(`${url}/v1/unload`, { method: "POST", headers, body, keepalive: false })).text();
}

function configText(lemondUrl: string): string {
  const slots = SLOTS.map((name) => `[slots.${name}]\nmodel = "${name}"\nkeep = true\n`);
  return `[server]
port = 0
drain_s = 0.5
[lemonade]
url = "${lemondUrl}"
poll_s = 0.2
# A touch of a model that has died this very moment would be a load.
touch_s = 0
auto_slots = false
${slots.join("")}`;
}
