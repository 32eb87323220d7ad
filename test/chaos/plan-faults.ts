// Which faults there are, and how often each comes. What they do to Lemonade is in faults.ts.
import type { SlotName } from "./plan.ts";
import type { Random } from "./random.ts";

/** `steps`: after so many further requests the fault is taken back, or earlier when everything waits for it. */
export type FaultPlan =
  | { readonly kind: "kill"; readonly slot: SlotName }
  | {
      readonly kind: "die-on-post";
      readonly slot: SlotName;
      readonly when: "before-headers" | "after-headers" | "mid-body" | "mid-event";
    }
  | { readonly kind: "close-before-reply" | "reset-before-reply"; readonly slot: SlotName; readonly times: number }
  | { readonly kind: "stale-keep-alive"; readonly slot: SlotName }
  | {
      readonly kind: "stop" | "refuse" | "reset-new" | "hang" | "loading";
      readonly slot: SlotName;
      readonly steps: number;
    }
  | { readonly kind: "fail-loads"; readonly slot: SlotName; readonly times: number }
  | { readonly kind: "slow-loads"; readonly loadMs: number; readonly steps: number }
  | { readonly kind: "lemond-down"; readonly steps: number; readonly wedge: boolean }
  | { readonly kind: "lemond-mute" | "health-blocked"; readonly steps: number }
  | { readonly kind: "evict"; readonly slot: SlotName; readonly silentMs: number }
  | { readonly kind: "outside-load" | "outside-unload"; readonly slot: SlotName }
  | { readonly kind: "port-takeover"; readonly slot: SlotName; readonly by: SlotName }
  | { readonly kind: "operate"; readonly slot: SlotName; readonly action: "load" | "unload" | "restart" | "swap" };

export type FaultKind = FaultPlan["kind"];

const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  kill: 16,
  "die-on-post": 12,
  "close-before-reply": 6,
  "reset-before-reply": 6,
  "stale-keep-alive": 3,
  stop: 4,
  refuse: 4,
  "reset-new": 4,
  hang: 3,
  loading: 2,
  "fail-loads": 2,
  "slow-loads": 3,
  "lemond-down": 3,
  "lemond-mute": 2,
  "health-blocked": 2,
  evict: 8,
  "outside-load": 4,
  "outside-unload": 5,
  "port-takeover": 8,
  operate: 9,
};

export function planFault(random: Random): FaultPlan {
  const kind = random.weighted(WEIGHTS);
  const slot = random.weighted<SlotName>({ chat: 4, code: 4, embed: 2 });
  const steps = random.int(2, 12);
  switch (kind) {
    case "kill":
    case "stale-keep-alive":
    case "outside-load":
    case "outside-unload":
      return { kind, slot };
    case "die-on-post":
      return { kind, slot, when: random.pick(["before-headers", "after-headers", "mid-body", "mid-event"]) };
    case "close-before-reply":
    case "reset-before-reply":
      return { kind, slot, times: random.int(1, 3) };
    case "stop":
    case "refuse":
    case "reset-new":
    case "hang":
    case "loading":
      return { kind, slot, steps };
    case "fail-loads":
      return { kind, slot, times: random.int(1, 2) };
    case "slow-loads":
      return { kind, steps, loadMs: random.int(200, 900) };
    case "lemond-down":
      return { kind, steps, wedge: random.chance(0.3) };
    case "lemond-mute":
    case "health-blocked":
      return { kind, steps };
    case "evict":
      return { kind, slot, silentMs: random.int(0, 400) };
    case "port-takeover":
      return { kind, slot, by: slot === "chat" ? "code" : "chat" };
    case "operate":
      return { kind, slot, action: random.weighted({ load: 2, unload: 3, restart: 2, swap: 4 }) };
  }
}
