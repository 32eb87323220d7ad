// What a campaign does, made from its seed alone: epochs of one lemond each, requests and faults by index, never by time.
// Starts nothing.
import type { ChatSettings } from "../lemond/index.ts";
import { planCrowd, type CrowdPlan } from "./plan-crowds.ts";
import { planFault, type FaultPlan } from "./plan-faults.ts";
import { createRandom, type Random } from "./random.ts";
import { planRequest, type RequestPlan } from "./plan-requests.ts";

export type SlotName = "chat" | "code" | "embed";

/** Every model a slot may have: what it starts with, and what operators swap in. No model belongs to two slots. */
export const SLOT_MODELS: Readonly<Record<SlotName, readonly [string, ...string[]]>> = {
  chat: ["chat-a", "chat-b"],
  code: ["code-a", "code-b"],
  embed: ["emb-a"],
};

/** The slots and their models. */
export const namesOf = (slots: readonly SlotName[]): string[] => slots.flatMap((slot) => [slot, ...SLOT_MODELS[slot]]);

/** Where the words follow from all the text before them, a seam that is wrong shows; one of these thinks first. */
export const SPEECH: Readonly<Record<string, ChatSettings>> = {
  "chat-a": { says: "words" },
  "chat-b": { says: "words", template: "qwen3" },
};

/** A slot whose cut streams go on, and one that is loaded unasked. */
export const CONTINUED: SlotName = "chat";
export const KEPT: SlotName = "embed";

/** A remote that never fails. */
export const REMOTE = "elsewhere";
/** Who answers for a slot while it cannot. */
export const FALLBACKS: Readonly<Partial<Record<SlotName, readonly (SlotName | typeof REMOTE)[]>>> = {
  code: ["chat", REMOTE],
};

export interface EpochPlan {
  readonly version: "10.6" | "11.7";
  readonly maxModels: number;
  readonly ports: "move" | "reuse";
  readonly pids: "visible" | "hidden";
  readonly warmMs: number;
  /** Lemond evicts a model that is not used through itself for so long. */
  readonly idleEvictMs: number | null;
  readonly steps: readonly Step[];
  /** Everything at once, behind the epoch; null in most of them. */
  readonly crowd: CrowdPlan | null;
}

/** The faults strike, then the request is sent. */
export interface Step {
  readonly index: number;
  readonly faults: readonly FaultPlan[];
  readonly request: RequestPlan;
}

export interface Plan {
  readonly seed: number;
  readonly epochs: readonly EpochPlan[];
}

export const EPOCH_REQUESTS = 200;
const FAULT_SHARE = 0.14;
/** The second of so many epochs is followed by a crowd. */
const CROWD_EVERY = 4;

export function planCampaign(seed: number, requests: number): Plan {
  const random = createRandom(seed);
  const epochs: EpochPlan[] = [];
  for (let from = 0; from < requests; from += EPOCH_REQUESTS)
    epochs.push({
      ...planEpoch(random, from, Math.min(requests, from + EPOCH_REQUESTS), epochs.length + seed),
      // By chance of its own: the epochs stay as they were.
      crowd: epochs.length % CROWD_EVERY === 1 ? planCrowd(createRandom(seed * 10_007 + from)) : null,
    });
  return { seed, epochs };
}

function planEpoch(random: Random, from: number, to: number, nth: number): Omit<EpochPlan, "crowd"> {
  const maxModels = random.pick([1, 2, -1]);
  const frame = {
    // Both generations take turns; the rest is chance.
    version: nth % 2 === 0 ? "10.6" : "11.7",
    maxModels,
    ports: random.pick(["move", "reuse"]),
    pids: random.pick(["visible", "hidden"]),
    warmMs: random.pick([0, 0, 150]),
    idleEvictMs: random.chance(0.2) ? 1500 : null,
  } as const;
  const steps: Step[] = [];
  let slot: SlotName = "chat";
  for (let index = from; index < to; index += 1) {
    // Where two slots cannot be loaded at once, each change of slot is a load: they come in bursts.
    if (random.chance(maxModels === 1 ? 0.05 : 0.5)) slot = random.weighted({ chat: 4, code: 4, embed: 2 });
    // The beginning of an epoch is quiet: what fails there fails without a fault.
    const isQuiet = index - from < 10;
    const faults = !isQuiet && random.chance(FAULT_SHARE) ? [planFault(random)] : [];
    steps.push({ index, faults, request: planRequest(random, slot, isQuiet) });
  }
  return { ...frame, steps };
}
