// What happens all at once at the end of some epochs: requests on every slot, operators, reloads, deaths, another client, and
// the end of the server. Each at its time, in milliseconds from the beginning.
import type { SlotName } from "./plan.ts";
import { planRequest, type RequestPlan } from "./plan-requests.ts";
import type { Random } from "./random.ts";

export type CrowdEvent = { readonly atMs: number } & (
  | { readonly kind: "request"; readonly request: RequestPlan }
  | { readonly kind: "order"; readonly slot: SlotName; readonly action: "load" | "unload" | "restart" | "swap" }
  /** The configuration without that slot; null: as it was. */
  | { readonly kind: "reload"; readonly without: SlotName | null }
  | { readonly kind: "kill" | "outside-load"; readonly slot: SlotName }
);

export interface CrowdPlan {
  readonly events: readonly CrowdEvent[];
  /** SIGTERM. Every request has been sent by then. */
  readonly endMs: number;
}

const SLOTS = ["chat", "code", "embed"] as const;
const REQUESTS = 24;
/** Between the last request and the end: so long a connection may take. */
const LAST_MS = 60;

export function planCrowd(random: Random): CrowdPlan {
  const endMs = random.int(150, 900);
  const soon = (): number => random.int(0, endMs - LAST_MS);
  const slot = (): SlotName => random.pick(SLOTS);
  const orders = Array.from({ length: random.int(1, 4) }, (): CrowdEvent => {
    const action = random.weighted({ load: 1, unload: 2, restart: 4, swap: 3 });
    return { kind: "order", atMs: soon(), slot: slot(), action };
  });
  const without = slot();
  const reloads = [without, null]
    .slice(0, random.int(1, 2))
    .map((gone): CrowdEvent => ({ kind: "reload", atMs: soon(), without: gone }));
  const troubles = Array.from({ length: random.int(0, 3) }, (): CrowdEvent => {
    return { kind: random.pick(["kill", "kill", "outside-load"]), atMs: soon(), slot: slot() };
  });
  const requests = Array.from({ length: REQUESTS }, (): CrowdEvent => {
    return { kind: "request", atMs: soon(), request: planLasting(random, slot()) };
  });
  const events = [...orders, ...reloads, ...troubles, ...requests].toSorted((a, b) => a.atMs - b.atMs);
  return { events, endMs };
}

/** Half of them are streams that meet what happens. */
function planLasting(random: Random, slot: SlotName): RequestPlan {
  const plan = planRequest(random, slot, true);
  if (slot === "embed" || random.chance(0.5)) return plan;
  const reply = { kind: "generated", stream: true, tokens: random.int(10, 60), tokenMs: 15, usage: true } as const;
  return { ...plan, route: "chat/completions", reply, endless: null, leave: null };
}
