// Carries out what repair.ts decides for one slot: asks lemond and the child, unloads, loads, reads the new port back.
// One at a time per slot (slot.ts sees to that); loads of all slots take turns.
import type { Child } from "./child.ts";
import { isListedAs, openChild, signOf } from "./child.ts";
import type { Clock } from "../observe/clock.ts";
import { type HealthAnswer, isShared, type Lemonade, type Listing, type LoadedModel } from "../lemonade/lemonade.ts";
import type { Log } from "../observe/log.ts";
import type { Probe } from "../lemonade/probe.ts";
import { nextStep, type Evidence } from "./repair.ts";
import { plainModel } from "../dispatch/resolve.ts";
import type { State } from "./state.ts";
import type { Turns } from "./turns.ts";

export interface RecoverDeps {
  readonly lemonade: Lemonade;
  readonly probe: Probe;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Log;
  readonly loadTimeoutMs: number;
  /** Asks for health and shows the answer to every slot. */
  readonly readBack: () => Promise<HealthAnswer>;
  /** Resolves when no other slot has an attempt under way on a child of that type, or after `ms`. */
  readonly othersAreQuiet: (slot: string, type: string, ms: number) => Promise<void>;
}

/** The slot that is recovered. */
export interface Patient {
  readonly name: string;
  /** Of the request that found it so, for the log. */
  readonly requestId?: string | undefined;
  readonly state: State;
  /** Nobody waits for this load any more; it is given up as long as nothing has been sent. */
  isAbandoned(): boolean;
  enterPhase(phase: Phase): void;
}

export type Phase = "checking" | "waiting" | "unloading" | "loading" | "warming";

export type Recovery =
  | { readonly outcome: "retargeted" | "alive" | "loaded" }
  /** Nobody waits for the load any more, and lemond was not asked for it. */
  | { readonly outcome: "abandoned" }
  | { readonly outcome: "failed"; readonly cause: string; readonly loadFailed: boolean };

/** What a request decides for itself is decided by now. */
const UNKNOWN: Evidence = {
  clientGone: false,
  operatorActing: false,
  movedOn: false,
  repairUnderWay: false,
  hasChild: true,
  backsOff: false,
  lemond: "unasked",
  child: "unasked",
};

/** How long lemond is left alone before it is asked again, and a warming child before it is. */
const ASK_AGAIN_MS = 250;
const ROOM_MS = 30_000;
const REFUSED_WHILE_WARMING_MS = 5000;

/** Brings the slot to a child that serves. `suspect` is the child that was dialled, or the one last found dead. */
export async function recover(slot: Patient, suspect: Child | null, deps: RecoverDeps): Promise<Recovery> {
  const { lemonade, probe, turns, clock, log } = deps;
  const deadline = clock.now() + slot.state.config.holdMs;
  let evidence = UNKNOWN;
  let listing: Listing | null = null;
  let listed: LoadedModel | undefined;
  let endTurn: (() => void) | null = null;
  let hasWaited = false;
  let refusal = "lemond refuses connections";
  try {
    for (;;) {
      const step = nextStep(evidence);
      switch (step) {
        case "ask-lemond": {
          const answer = await lemonade.health();
          if (answer.kind === "denied") refusal = `lemond denies access: ${answer.cause}`;
          listing = answer.kind === "listing" ? answer : null;
          listed = listing ? findListed(listing, slot.state.model) : undefined;
          evidence = {
            ...evidence,
            child: "unasked",
            lemond:
              answer.kind === "listing" ? place(listed, suspect) : answer.kind === "silent" ? "silent" : "refused",
          };
          break;
        }
        case "ask-lemond-again":
          if (clock.now() >= deadline) return failed("lemond does not answer");
          log.debug("lemonade.busy", { slot: slot.name, live: await lemonade.isLive() });
          await clock.sleep(ASK_AGAIN_MS);
          evidence = { ...evidence, lemond: "unasked" };
          break;
        case "ask-child":
          evidence = {
            ...evidence,
            child: suspect ? await signOf(suspect, probe, listing !== null && isShared(listing, suspect.url)) : "gone",
          };
          break;
        case "await-child":
          if (clock.now() >= deadline) return failed("the child is still loading");
          await clock.sleep(ASK_AGAIN_MS);
          evidence = { ...evidence, child: "unasked" };
          break;
        case "adopt":
          if (listing && listed) slot.state.adopt(listed, listing);
          return { outcome: "retargeted" };
        case "keep":
          // A child that was thought dead and is not: the slot takes it back.
          if (!slot.state.child && listing && listed) slot.state.adopt(listed, listing);
          return { outcome: "alive" };
        case "reload":
        case "load": {
          if (!endTurn) {
            slot.enterPhase("waiting");
            endTurn = await turns.take();
            evidence = UNKNOWN; // Whoever had the turn before may have changed everything.
            break;
          }
          if (slot.isAbandoned()) return { outcome: "abandoned" };
          if (!hasWaited && listing && !hasRoom(slot.state, listing)) {
            slot.enterPhase("waiting");
            await deps.othersAreQuiet(slot.name, slot.state.type, Math.min(slot.state.config.holdMs, ROOM_MS));
            turns.claim(slot.state.type);
            hasWaited = true;
            evidence = UNKNOWN;
            break;
          }
          if (suspect) {
            slot.state.bury(suspect);
            log.warn("slot.recover_evicted_dispatched", {
              request_id: slot.requestId,
              slot: slot.name,
              model: slot.state.model,
              unload: step === "reload",
            });
          }
          if (step === "reload") await unload(slot, deps);
          return await load(slot, suspect, deps);
        }
        case "give-up":
          return failed(refusal);
        case "back-off":
        case "stop":
        case "gate":
        case "use-current":
        case "join":
          throw new Error(`${step} is for a request to decide, not for the recovery of a slot`);
      }
    }
  } finally {
    endTurn?.();
  }
}

/** Sends the load, reads back where the child is, waits until it answers, and lets the slot adopt it. The caller has the turn. */
export async function load(slot: Patient, dead: Child | null, deps: RecoverDeps): Promise<Recovery> {
  const { lemonade, clock, log } = deps;
  const deadline = clock.now() + deps.loadTimeoutMs;
  slot.state.enter("starting");
  slot.enterPhase("loading");
  log.info("lemonade.provider.load", { request_id: slot.requestId, slot: slot.name, model: slot.state.model });
  const done = await lemonade.load(slot.state.model, slot.state.options);
  if (done.ok) {
    slot.state.enter("warming");
    slot.enterPhase("warming");
  }
  // After any load, failed or not: a failed one makes lemond drop every other model as well.
  const answer = await readBackUntil(done.ok ? deadline : clock.now(), deps);
  if (!done.ok) return failed(done.status === null ? done.error : `${done.status}: ${done.error}`, true);
  if (answer.kind !== "listing") return failed("lemond did not say where the model is", true);
  const listed = findListed(answer, slot.state.model);
  if (!listed || (dead && listed.pid !== null && isListedAs(dead, listed)))
    return failed("the model is not listed after the load", true);

  const fault = await warmUp(listed, deadline, deps);
  if (fault !== null) return failed(fault, true);
  slot.state.adopt(listed, answer);
  return { outcome: "loaded" };
}

/** Waits until the new child says 200; the fault where it will not. */
async function warmUp(listed: LoadedModel, deadline: number, { probe, clock }: RecoverDeps): Promise<string | null> {
  const { process } = openChild(listed, 0);
  let refusedSince: number | null = null;
  try {
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, ASK_AGAIN_MS)) {
      const sign = await probe.health(listed.url);
      if (sign === "ok") return null;
      if (process?.isAlive() === false) return "the child died after the load";
      refusedSince = sign === "refused" ? (refusedSince ?? clock.now()) : null;
      if (refusedSince !== null && clock.now() - refusedSince > REFUSED_WHILE_WARMING_MS)
        return "the child refuses connections after the load";
      if (clock.now() >= deadline) return "the child did not become ready in time";
      await clock.sleep(pauseMs);
    }
  } finally {
    process?.close();
  }
}

/** A failed unload (404 too) is said and passed over: the load that follows decides. */
export async function unload(slot: Patient, deps: RecoverDeps): Promise<string | null> {
  slot.enterPhase("unloading");
  deps.log.info("lemonade.provider.unload", { request_id: slot.requestId, slot: slot.name, model: slot.state.model });
  const done = await deps.lemonade.unload(slot.state.model);
  if (done.ok) return null;
  deps.log.warn("slot.recover_unload_failed", {
    request_id: slot.requestId,
    slot: slot.name,
    status: done.status,
    error: done.error,
  });
  return done.status === 404 ? null : `${done.status ?? "no answer"}: ${done.error}`;
}

/** The listed model of that name, with or without lemond's prefixes. */
export function findListed(listing: Listing, model: string): LoadedModel | undefined {
  return listing.loaded.find((listed) => plainModel(listed.model) === plainModel(model));
}

/** lemond evicts a model of the same type when this many others are loaded. */
function hasRoom({ model: own, type: ownType }: State, listing: Listing): boolean {
  const limit = listing.maxModels[ownType];
  if (typeof limit !== "number" || limit < 0) return true;
  const others = listing.loaded.filter(({ model, type }) => type === ownType && plainModel(model) !== plainModel(own));
  return others.length < limit;
}

async function readBackUntil(deadline: number, deps: RecoverDeps): Promise<HealthAnswer> {
  for (;;) {
    const answer = await deps.readBack();
    if (answer.kind !== "silent" || deps.clock.now() >= deadline) return answer;
    await deps.clock.sleep(ASK_AGAIN_MS);
  }
}

function place(listed: LoadedModel | undefined, suspect: Child | null): Evidence["lemond"] {
  if (!listed) return "not-listed";
  return suspect && isListedAs(suspect, listed) ? "same" : "elsewhere";
}

function failed(cause: string, loadFailed = false): Recovery {
  return { outcome: "failed", cause, loadFailed };
}
