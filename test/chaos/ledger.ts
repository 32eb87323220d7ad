// What an epoch's Lemonade and its children got, held against the laws: attempts of each prompt, whose child got it, loads
// against their reasons, unloads of children that were well.
import type { Call, Child, Lemond } from "../lemond/index.ts";
import { readFileSync } from "node:fs";
import { FALLBACKS, SLOT_MODELS, type SlotName } from "./plan.ts";

/** Calls of the campaign's own carry it: they are another client's, not the server's. */
export const OUTSIDE = "x-outside";

/** How many children of each slot got the prompt. */
export type Attempts = ReadonlyMap<SlotName, number>;

export type Ledger = ReturnType<typeof createLedger>;

const NO_ATTEMPTS: Attempts = new Map();
const SLOTS = Object.keys(SLOT_MODELS) as SlotName[];

export function slotOf(model: string): SlotName {
  const slot = SLOTS.find((slot) => SLOT_MODELS[slot].includes(model));
  if (!slot) throw new Error(`no slot has ${model}`);
  return slot;
}

/**
 * `mayUnload`: an operator is at work on the slot, or the child's port refuses by a fault. `touches`: how often the server says
 * that it has touched the model in this epoch.
 */
export function createLedger(
  lemond: Lemond,
  mayUnload: (child: Child) => boolean,
  touches: (model: string) => number,
  onEnd: (child: Child) => void = () => {},
) {
  const attempts = new Map<string, Map<SlotName, number>>();
  const requestsRead = new Map<Child, number>();
  const exits = new Map<string, number>();
  /** Reasons for a load of ours that are not an exit: operators, a lemond that began anew. */
  const reasons = new Map<string, number>();
  const suspicions: { readonly call: Call; readonly child: Child }[] = [];
  const followed = new Set<Child>();
  let callsRead = 0;
  let isOver = false;

  const add = (to: Map<string, number>, model: string): void => void to.set(model, (to.get(model) ?? 0) + 1);

  const followChildren = (): void => {
    for (const child of lemond.children()) {
      if (followed.has(child)) continue;
      followed.add(child);
      void child.exited.then(() => {
        add(exits, child.model);
        onEnd(child);
      });
    }
  };

  const readCalls = (): void => {
    followChildren();
    for (; callsRead < lemond.calls.length; callsRead += 1) {
      const call = lemond.calls[callsRead];
      if (call?.route !== "/v1/unload" || call.model === undefined || OUTSIDE in call.headers) continue;
      const child = lemond.child(call.model);
      if (child && runs(child.pid) && !mayUnload(child)) suspicions.push({ call, child });
    }
  };

  const readRequests = (): void => {
    followChildren();
    for (const child of followed) {
      const { requests } = child;
      for (let at = requestsRead.get(child) ?? 0; at < requests.length; at += 1) {
        const request = requests[at];
        // Before a stream goes on, the child is asked what its template makes of the very same body.
        if (request?.method !== "POST" || request.path === "/apply-template") continue;
        const known = attempts.get(request.bodySha256) ?? new Map<SlotName, number>();
        const slot = slotOf(child.model);
        attempts.set(request.bodySha256, known.set(slot, (known.get(slot) ?? 0) + 1));
      }
      requestsRead.set(child, requests.length);
    }
  };

  const follow = async (): Promise<void> => {
    while (!isOver) {
      // Nothing within ten seconds is no failure here.
      await Promise.race([lemond.received("/v1/unload"), lemond.received("/v1/load")]).catch(() => null);
      readCalls();
    }
  };
  void follow();

  const ours = (route: string, model: string): Call[] =>
    lemond.calls.filter((call) => call.route === route && call.model === model && !(OUTSIDE in call.headers));

  /** Each load and unload that the server asked for has its death, its operator, or its failure. */
  const faultsOfLoads = (): string[] =>
    Object.values(SLOT_MODELS)
      .flat()
      .flatMap((model) => {
        const calls = ours("/v1/load", model);
        const loads = calls.length - touches(model);
        const unloads = ours("/v1/unload", model).length;
        const ended = (exits.get(model) ?? 0) + (reasons.get(model) ?? 0);
        const mayLoad = 1 + ended + calls.filter(({ status }) => status !== 200).length;
        return [
          ...(loads > mayLoad ? [`${loads} loads of ${model} for ${mayLoad} reasons`] : []),
          ...(unloads > ended ? [`${unloads} unloads of ${model} for ${ended} reasons`] : []),
        ];
      });

  return {
    attemptsOf: (sha256: string): Attempts => {
      readRequests();
      return attempts.get(sha256) ?? NO_ATTEMPTS;
    },
    /** What is wrong with who got a prompt for that slot: two attempts each, of its own children and of its fallbacks'. */
    faultsOfAttempts: (sha256: string, slot: SlotName): string[] => {
      readRequests();
      const may: readonly string[] = [slot, ...(FALLBACKS[slot] ?? [])];
      return [...(attempts.get(sha256) ?? NO_ATTEMPTS)].flatMap(([by, times]) => [
        ...(times > 2 ? [`${times} attempts at ${by}`] : []),
        ...(may.includes(by) ? [] : [`a prompt for ${slot} got to ${by}`]),
      ]);
    },
    exitsOf: (slot: SlotName): number => {
      followChildren();
      return SLOT_MODELS[slot].reduce((sum, model) => sum + (exits.get(model) ?? 0), 0);
    },
    allowLoad: (model: string): void => add(reasons, model),
    failedLoadsOf: (slot: SlotName): number =>
      lemond.calls.filter(
        ({ route, model, status = 200 }) =>
          route === "/v1/load" && status !== 200 && SLOT_MODELS[slot].includes(model ?? ""),
      ).length,
    /** Violations of the laws on loads and unloads; the epoch is over. */
    close: (): string[] => {
      isOver = true;
      readCalls();
      const unloadAlls = lemond.unloadAlls();
      const replaced = lemond.replacements();
      return [
        ...(replaced > 0 ? [`${replaced} loads with other options ended a child that was well`] : []),
        ...(unloadAlls > 0 ? [`${unloadAlls} unloads of every model`] : []),
        // What was not there any more when its turn came was evicted before: nothing healthy was lost.
        ...suspicions
          .filter(({ call }) => call.status === 200)
          .map(({ child }) => `a healthy child of ${child.model} (pid ${child.pid}) was unloaded`),
        ...faultsOfLoads(),
      ];
    },
  };
}

/** It has had no request yet: its load may not be over. */
export const isYoung = ({ requests }: Child): boolean => requests.every(({ isProbe }) => isProbe);

/** False for a process that is gone or a zombie. */
export function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false; // No such process.
  }
}
