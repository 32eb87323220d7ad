// Keeps the slots of one lemond: tells step.ts what happens, carries out what it decides, and wakes it when time is up.
// Decides nothing itself.
import type { SlotConfig } from "../config/config.ts";
import type { Lemonade, LemondReply } from "../lemonade/lemonade.ts";
import { createModels } from "../lemonade/models.ts";
import { createPlaces, placesOf } from "../lemonade/places.ts";
import type { Probe } from "../lemonade/probe.ts";
import { watchSilence } from "../lemonade/silence.ts";
import { createWatch } from "../lemonade/watch.ts";
import type { Clock } from "../observe/clock.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createAttempts } from "./attempts.ts";
import type { Effect, Event } from "./events.ts";
import type { Settings, SlotRecord } from "./known.ts";
import { underWay } from "./requests.ts";
import { implicitOf, ownerOf, slotsShown } from "./roster.ts";
import { createSlot, type OrderEnd, type RepairRecord, type Slot, type TakeOrder } from "./slot.ts";
import { createKnown, step } from "./step.ts";
import { mayFollow, isRoutine, type SlotState } from "./transitions.ts";
import { wakeAt } from "./upkeep.ts";

export interface KeeperDeps {
  /** The name of its lemond; `lemonade` is the first. */
  readonly name: string;
  readonly lemonade: Lemonade;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly settings: Settings;
  readonly slots: readonly SlotConfig[];
  readonly firstByteTimeoutMs: () => number;
  /** Most requests at lemond's own port at once; null: by version. */
  readonly maxRequests: () => number | null;
  readonly onState: (slot: string, state: SlotState) => void;
  readonly onRepair: (repair: RepairRecord) => void;
  /** Illegal transitions throw (tests) instead of being logged. */
  readonly isStrict: boolean;
}

interface Ordered {
  readonly resolve: (end: OrderEnd) => void;
  reply: LemondReply | null;
}

export type Keeper = ReturnType<typeof createKeeper>;

const TOUCH_ANSWER_MS = 3000;

export function createKeeper(deps: KeeperDeps) {
  const { clock, log, lemonade } = deps;
  const known = createKnown(deps.settings, clock.now());
  const slots = new Map<number, Slot>();
  const orders = new Map<number, Ordered>();
  const events: Event[] = [];
  let isStepping = false;
  let isClosed = false;
  let timer: Timer | null = null;
  let timerAtMs = Infinity;
  let lastOrder = 0;

  /** Effects run after the step, and what they cause is queued as the next event: step.ts is never re-entered. */
  const happen = (event: Event): void => {
    events.push(event);
    if (isStepping) return;
    isStepping = true;
    let mayWake = false;
    try {
      for (let next = events.shift(); next; next = events.shift()) {
        const effects = step(known, next, clock.now());
        mayWake ||= !isPassage(next, effects);
        for (const effect of effects) perform(effect);
      }
    } finally {
      isStepping = false;
      if (mayWake) setAlarm();
    }
  };

  /** A bug in one effect must not stop the others, or a job would wait for ever for an answer. */
  const perform = (effect: Effect): void => {
    try {
      carryOut(effect);
    } catch (error) {
      if (deps.isStrict) throw error;
      log.error("server.internal", { error: error instanceof Error ? `${error.name}: ${error.message}` : "unknown" });
    }
  };

  const setAlarm = (): void => {
    const atMs = isClosed ? Infinity : wakeAt(known);
    if (atMs === timerAtMs) return;
    timerAtMs = atMs;
    if (timer) clearTimeout(timer);
    timer = atMs === Infinity ? null : setTimeout(ring, Math.max(0, Math.ceil(atMs - clock.now())));
  };
  const ring = (): void => {
    timerAtMs = Infinity;
    happen({ kind: "wake" });
  };

  const models = createModels({ ...deps, happen });
  const watch = createWatch({ ...deps, happen });
  const places = createPlaces(() => placesOf(deps.maxRequests(), known.listing?.version));
  const attempts = createAttempts({
    ...deps,
    places,
    happen,
    processOf: watch.processOf,
    onDial: () => lookForSilence(),
  });
  const lookForSilence = watchSilence({
    ...deps,
    flights: attempts.flights,
    onRefused: ({ id }) => happen({ kind: "port-refused", child: id }),
  });

  const carryOut = (effect: Effect): void => {
    if (isClosed && effect.do !== "answer" && effect.do !== "cut" && effect.do !== "forget") return;
    switch (effect.do) {
      case "dial":
        return attempts.dial(effect.request, effect.slot, effect.child, effect.isShared);
      case "answer":
        return attempts.answer(effect.request, effect.failure);
      case "cut":
        return attempts.cut(effect.request, { kind: "lost", error: "RemoteProtocolError", cause: effect.cause });
      case "ask-lemond":
        return void watch.askLemond(effect.question);
      case "ask-models":
        return void models.ask();
      case "ask-child":
        return void watch.askChild(effect);
      case "open":
        return watch.open(effect.child);
      case "forget":
        return watch.forget(effect.child);
      case "forget-slot":
        return void slots.delete(effect.slot);
      case "unload":
      case "load":
        return void send(effect);
      case "touch":
        return void touch(effect);
      case "tell-order":
        return endOrder(effect);
      case "tell-job":
        return slotOf(effect.end.slot).jobEnded(effect.end);
      case "tell-loss":
        return slotOf(effect.slot).lost(effect.request, attempts.targetOf(effect.request));
      case "tell-state":
        return entered(effect);
      case "log":
        return log[effect.level](effect.event, { request_id: effect.request ?? undefined, ...effect.fields });
    }
  };

  const send = async (effect: Extract<Effect, { do: "unload" | "load" }>): Promise<void> => {
    const { slot, job } = effect;
    const isLoad = effect.do === "load";
    const forward = job.order?.forward;
    const result = await (forward
      ? lemonade.post(forward.path, forward.body, forward.method ?? "POST")
      : isLoad
        ? lemonade.load(slot.model, effect.options)
        : lemonade.unload(slot.model));
    const ordered = job.order && orders.get(job.order.id);
    if (ordered) ordered.reply = result.reply;
    happen({ kind: isLoad ? "loaded" : "unloaded", slot: slot.id, job: job.id, result });
  };

  const touch = async ({ slot, model, options }: Extract<Effect, { do: "touch" }>): Promise<void> => {
    const { ok } = await lemonade.load(model, options, TOUCH_ANSWER_MS);
    log.debug("lemonade.touch", { slot: slot.name, model, ok });
    happen({ kind: "touched", slot: slot.id, ok });
  };

  const entered = ({ slot, from, to }: Extract<Effect, { do: "tell-state" }>): void => {
    if (!mayFollow(from, to)) {
      if (deps.isStrict) throw new Error(`slot ${slot.name}: ${from} may not become ${to}`);
      log.error("slot.transition_illegal", { slot: slot.name, from, to });
    }
    const write = isRoutine(from, to) ? log.debug : log.info;
    write("slot.transition", { slot: slot.name, from, to });
    deps.onState(slot.name, to);
  };

  const order: TakeOrder = (slot, action, model, forward) =>
    new Promise((resolve) => {
      orders.set(++lastOrder, { resolve, reply: null });
      happen({ kind: "ordered", slot, order: lastOrder, action, model, forward });
    });
  const endOrder = ({ order, fault }: Extract<Effect, { do: "tell-order" }>): void => {
    const ordered = orders.get(order);
    orders.delete(order);
    ordered?.resolve({ fault, reply: ordered.reply });
  };
  const slotOf = (record: SlotRecord): Slot => {
    const slot = slots.get(record.id) ?? createSlot(record, { ...deps, known, attempts, order });
    slots.set(record.id, slot);
    return slot;
  };

  happen({ kind: "configured", settings: deps.settings, slots: deps.slots });

  return {
    name: deps.name,
    known,
    lemonade,
    places,
    slots: (): Slot[] => slotsShown(known).map(slotOf),
    ownerOf: (model: string): Slot | undefined => {
      const owner = ownerOf(known, model);
      return owner && slotOf(owner);
    },
    ofModel: (model: string): Slot => {
      let record = ownerOf(known, model) ?? implicitOf(known, model);
      if (!record) happen({ kind: "named", model });
      record ??= ownerOf(known, model) ?? implicitOf(known, model);
      if (!record) throw new Error(`no slot was made for ${model}`);
      return slotOf(record);
    },
    models,
    /** Asks lemond for the first time; resolves when it has listed what is loaded and loadable, or refused. */
    start: async (): Promise<void> => {
      happen({ kind: "wake" });
      await watch.firstAnswer;
      await models.answered();
    },
    configure: (settings: Settings, configs: readonly SlotConfig[]): void => {
      happen({ kind: "configured", settings, slots: configs });
      happen({ kind: "wake" });
    },
    underWay: (): number => underWay(known),
    drain: (): void => happen({ kind: "draining" }),
    stop: (): void => {
      happen({ kind: "stopping" });
      isClosed = true;
      setAlarm();
    },
  };
}

const isTellState = (effect: Effect): boolean => effect.do === "tell-state";

/** Events of every healthy request that move no deadline: the timer stays as it is. */
function isPassage({ kind }: Event, effects: readonly Effect[]): boolean {
  if (kind === "arrived") return effects.at(-1)?.do === "dial";
  return kind === "ended" && effects.every(isTellState);
}
