// Carries out the planned faults on the simulated Lemonade, and takes the lasting ones back: after their steps, or when
// everything waits for them.
import type { Child, Faults, Lemond } from "../lemond/index.ts";
import { isYoung, OUTSIDE, type Ledger } from "./ledger.ts";
import { SLOT_MODELS, type SlotName } from "./plan.ts";
import type { FaultPlan } from "./plan-faults.ts";
import type { Weather } from "./weather.ts";

export interface StrikerDeps {
  readonly lemond: Lemond;
  readonly ledger: Ledger;
  readonly weather: Weather;
  readonly loadMs: number;
  /** Children whose port refuses, or did a moment ago: they may be unloaded. */
  readonly sick: Map<Child, number>;
  readonly operate: (slot: SlotName, action: string, model: string | null) => Promise<void>;
}

interface Lasting {
  readonly untilIndex: number;
  readonly undo: () => Promise<void>;
}

const SLOTS = Object.keys(SLOT_MODELS) as SlotName[];
/** Two polls see that a child is not listed. */
const NOTICED_MS = 1500;

export type Striker = ReturnType<typeof createStriker>;

export function createStriker({ lemond, ledger, weather, loadMs, sick, operate }: StrikerDeps) {
  let lasting: Lasting[] = [];
  let isDown = false;
  const underWay = new Set<Promise<unknown>>();
  const swapped = new Map<SlotName, string>();

  /** The child that lemond lists for the slot, if it runs. */
  const childOf = (slot: SlotName): Child | undefined =>
    SLOT_MODELS[slot]
      .filter((model) => lemond.listed().includes(model))
      .map((model) => lemond.child(model))
      .find((child) => child?.isAlive === true);

  /** What is told to lemond or a child that is going is no failure of the campaign. */
  const inBackground = (work: () => Promise<unknown>): void => {
    const settled = (async () => work())()
      .catch(() => undefined)
      .finally(() => underWay.delete(settled));
    underWay.add(settled);
  };

  const last = (index: number, steps: number, undo: () => Promise<void>): void => {
    lasting.push({ untilIndex: index + steps, undo });
  };

  const outside = async (route: "load" | "unload", model: string): Promise<void> => {
    const end = weather.begin("disturbance", null);
    await fetch(`${lemond.url}/v1/${route}`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close", [OUTSIDE]: "1" },
      body: JSON.stringify({ model_name: model }),
      keepalive: false,
    }).finally(end);
  };

  const breakChild = (child: Child, faults: Faults): void => inBackground(() => child.set(faults));

  /** It may hit a load that is not over yet. The end of a child is noted when it comes. */
  const noteYouth = (child: Child, slot: SlotName): void => {
    if (isYoung(child)) weather.failsLoad(slot);
  };

  const strikeChild = (fault: Extract<FaultPlan, { slot: SlotName }>, child: Child, index: number): void => {
    const { slot } = fault;
    switch (fault.kind) {
      case "kill":
        return inBackground(() => child.kill());
      case "die-on-post":
        return breakChild(child, { dieOnPost: { when: fault.when } });
      case "close-before-reply":
      case "reset-before-reply": {
        const { times } = fault;
        const before = child.prompts();
        weather.takes({ slot, times, isOver: () => !child.isAlive || child.prompts() >= before + times });
        return breakChild(
          child,
          fault.kind === "close-before-reply" ? { closeBeforeReply: times } : { resetBeforeReply: times },
        );
      }
      case "stale-keep-alive":
        return breakChild(child, { resetReused: true });
      case "stop":
        noteYouth(child, slot);
        inBackground(() => child.kill("SIGSTOP"));
        return last(index, fault.steps, async () => (child.isAlive ? child.kill("SIGCONT") : undefined));
      case "refuse":
      case "reset-new": {
        noteYouth(child, slot);
        sick.set(child, Infinity);
        weather.takes({ slot, times: 1, isOver: () => (sick.get(child) ?? 0) < Infinity });
        breakChild(child, fault.kind === "refuse" ? { refuse: true } : { resetNew: true });
        return last(index, fault.steps, async () => {
          await child.set({}).catch(() => undefined);
          sick.set(child, performance.now());
        });
      }
      case "hang":
      case "loading": {
        const end = weather.begin("loading", slot);
        breakChild(child, fault.kind === "hang" ? { hang: true } : { loading: true });
        return last(index, fault.steps, () => child.set({}).finally(end));
      }
      case "evict":
        return inBackground(() => lemond.evict(child.model, { silentMs: fault.silentMs }));
      case "outside-unload":
        return inBackground(() => outside("unload", child.model));
      case "port-takeover": {
        const { by } = fault;
        const end = weather.begin("disturbance", null);
        const other = childOf(by);
        // The next child gets the lowest free port: whose that was is the victim, the other model comes up on it.
        const [victim, taker] = !other || child.port < other.port ? [child, other] : [other, child];
        const takeOver = async (): Promise<void> => {
          if (taker) await lemond.evict(taker.model);
          await victim.kill();
          await outside("load", taker?.model ?? SLOT_MODELS[by][0]);
        };
        return inBackground(() => takeOver().finally(end));
      }
    }
  };

  const strikeLemond = async (fault: FaultPlan, index: number): Promise<void> => {
    switch (fault.kind) {
      case "fail-loads":
        for (const model of SLOT_MODELS[fault.slot]) lemond.failLoads(model, fault.times);
        return;
      case "slow-loads":
        lemond.setLoadMs(fault.loadMs);
        return last(index, fault.steps, async () => lemond.setLoadMs(loadMs));
      case "lemond-down": {
        const end = weather.begin("disturbance", null);
        isDown = true;
        // Whatever is loaded is lost to lemond, also where the processes live on.
        for (const model of Object.values(SLOT_MODELS).flat()) ledger.allowLoad(model);
        // A load that was under way has failed.
        for (const slot of SLOTS) weather.failsLoad(slot);
        // On 10.6 the children live on unlisted, or are wedged: what is on them is lost once, by the evidence.
        let upAgainMs = Infinity;
        for (const slot of SLOTS)
          weather.takes({ slot, times: 1, isOver: () => performance.now() > upAgainMs + NOTICED_MS });
        // Not waited for: a stopped child is wedged when it runs again.
        inBackground(() => lemond.kill({ wedge: fault.wedge }));
        return last(index, fault.steps, async () => {
          await lemond.restart();
          isDown = false;
          upAgainMs = performance.now();
          end();
        });
      }
      case "lemond-mute": {
        const end = weather.begin("disturbance", null);
        lemond.setMute(true);
        return last(index, fault.steps, async () => {
          lemond.setMute(false);
          end();
        });
      }
      case "health-blocked": {
        const end = weather.begin("disturbance", null);
        const latch = lemond.holdHealth();
        return last(index, fault.steps, async () => {
          latch.release();
          end();
        });
      }
      case "outside-load":
        return inBackground(() => outside("load", SLOT_MODELS[fault.slot][0]));
      case "operate": {
        const { slot, action } = fault;
        const other = SLOT_MODELS[slot].find((model) => model !== (swapped.get(slot) ?? SLOT_MODELS[slot][0])) ?? null;
        if (action === "swap" && other === null) return;
        if (action === "swap" && other !== null) swapped.set(slot, other);
        for (const model of SLOT_MODELS[slot]) ledger.allowLoad(model);
        const end = weather.begin("operator", slot);
        return inBackground(() => operate(slot, action, action === "swap" ? other : null).finally(end));
      }
    }
  };

  return {
    /** False where there was nothing to strike. */
    strike: async (fault: FaultPlan, index: number): Promise<boolean> => {
      if (isDown && fault.kind !== "kill") return false;
      switch (fault.kind) {
        case "fail-loads":
        case "slow-loads":
        case "lemond-down":
        case "lemond-mute":
        case "health-blocked":
        case "outside-load":
        case "operate":
          await strikeLemond(fault, index);
          return true;
        default: {
          const child = childOf(fault.slot);
          if (child) strikeChild(fault, child, index);
          return child !== undefined;
        }
      }
    },
    /** Takes back what has lasted long enough. Waits for nothing: a child that is stopped hears of it when it runs again. */
    pass: (index: number): void => {
      const over = lasting.filter(({ untilIndex }) => untilIndex <= index);
      lasting = lasting.filter((one) => !over.includes(one));
      for (const { undo } of over) inBackground(undo);
    },
    /** Somebody else loads the model of a slot that backs off, which ends it: else it would give nothing but errors for long. */
    rescue: (model: string): void => inBackground(() => outside("load", model)),
    /** Resolves when operators and other clients have their answers. */
    settled: async (): Promise<void> => {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    heal: (): void => {
      for (const model of Object.values(SLOT_MODELS).flat()) lemond.failLoads(model, 0);
      lemond.setLoadMs(loadMs);
    },
  };
}
