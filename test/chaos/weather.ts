// What is wrong at the moment, and what has been wrong since a request began: the excuses that an error may have.
import type { Circumstances } from "./judge.ts";
import { SLOT_MODELS, type SlotName } from "./plan.ts";
import type { Ledger } from "./ledger.ts";

export interface Mark {
  readonly atMs: number;
  /** Children of the slot that had ended by then. */
  readonly exits: number;
  /** Of those, what the server has noticed for certain: it has served since. The last one may be dialled still. */
  readonly noticedExits: number;
  readonly losses: readonly Loss[];
  /** Loads of the slot that had failed by then, and how many of those were made good: it has served since. */
  readonly failures: number;
  readonly forgiven: number;
}

/** Connections that a fault takes, until it has taken them all. */
interface Loss {
  readonly slot: SlotName;
  readonly times: number;
  readonly isOver: () => boolean;
}

interface Begun {
  readonly beganMs: number;
}

interface Spell extends Begun {
  readonly slot: SlotName | null;
  readonly kind: "operator" | "disturbance" | "loading";
  endMs: number;
}

export type Weather = ReturnType<typeof createWeather>;

/** What a fault has set going lasts a little longer than itself: an answer under way, a poll. */
const AFTERMATH_MS = 1500;

export function createWeather(ledger: Ledger, holdMs: number) {
  const losses: (Loss & Begun)[] = [];
  const spells: Spell[] = [];
  const diedYoung = new Map<SlotName, number>();
  const forgiven = new Map<SlotName, number>();
  const noticed = new Map<SlotName, number>();
  const now = (): number => performance.now();
  const beganMs = now();
  // The children of the lemond before this one are gone: each slot may still dial its own once.
  for (const slot of Object.keys(SLOT_MODELS) as SlotName[])
    losses.push({ slot, times: 1, beganMs, isOver: () => now() > beganMs + AFTERMATH_MS });

  const covers = (kind: Spell["kind"], slot: SlotName, sinceMs: number, untilMs: number): boolean =>
    spells.some(
      (spell) =>
        spell.kind === kind &&
        (spell.slot ?? slot) === slot &&
        spell.beganMs <= untilMs &&
        spell.endMs + AFTERMATH_MS > sinceMs,
    );
  const failuresOf = (slot: SlotName): number => ledger.failedLoadsOf(slot) + (diedYoung.get(slot) ?? 0);

  return {
    /** Begins a spell; the function returned ends it. `slot` null: all of them. */
    begin: (kind: Spell["kind"], slot: SlotName | null): (() => void) => {
      const spell: Spell = { kind, slot, beganMs: now(), endMs: Infinity };
      spells.push(spell);
      return () => {
        spell.endMs = Math.min(spell.endMs, now());
      };
    },
    isActing: (slot: SlotName): boolean =>
      spells.some((spell) => spell.kind === "operator" && spell.slot === slot && spell.endMs === Infinity),
    takes: (loss: Loss): void => void losses.push({ ...loss, beganMs: now() }),
    failsLoad: (slot: SlotName): void => void diedYoung.set(slot, (diedYoung.get(slot) ?? 0) + 1),
    /** The request of that mark was answered by a child that ran when it was sent, or later. */
    served: (slot: SlotName, { exits, failures }: Mark): void => {
      noticed.set(slot, Math.max(exits, noticed.get(slot) ?? 0));
      forgiven.set(slot, Math.max(failures, forgiven.get(slot) ?? 0));
    },
    mark: (slot: SlotName): Mark => ({
      atMs: now(),
      exits: ledger.exitsOf(slot),
      noticedExits: noticed.get(slot) ?? 0,
      losses: losses.filter((loss) => loss.slot === slot && loss.isOver()),
      failures: failuresOf(slot),
      forgiven: forgiven.get(slot) ?? 0,
    }),
    /** What may excuse an answer that came `tookMs` after the mark: what began later does not. */
    since: (mark: Mark, slot: SlotName, tookMs: number): Circumstances => ({
      losses:
        ledger.exitsOf(slot) -
        mark.noticedExits +
        losses
          .filter((loss) => loss.slot === slot && loss.beganMs <= mark.atMs + tookMs && !mark.losses.includes(loss))
          .reduce((sum, { times }) => sum + times, 0),
      wasDisturbed: covers("disturbance", slot, mark.atMs, mark.atMs + tookMs),
      loadsFailed: failuresOf(slot) > mark.forgiven,
      operatorActed: covers("operator", slot, mark.atMs, mark.atMs + tookMs),
      wasLoading: covers("loading", slot, mark.atMs, mark.atMs + tookMs),
      wasAbsent: false,
      isEnding: false,
      tookMs,
      holdMs,
    }),
  };
}
