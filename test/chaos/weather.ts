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
}

/** Connections that a fault takes, until it has taken them all. */
interface Loss {
  readonly slot: SlotName;
  readonly times: number;
  readonly isOver: () => boolean;
}

interface Spell {
  readonly slot: SlotName | null;
  readonly kind: "operator" | "disturbance" | "loading";
  endMs: number;
}

export type Weather = ReturnType<typeof createWeather>;

/** What a fault has set going lasts a little longer than itself: an answer under way, a poll. */
const AFTERMATH_MS = 1500;

export function createWeather(ledger: Ledger, holdMs: number) {
  const losses: Loss[] = [];
  const spells: Spell[] = [];
  const loadsFailed = new Set<SlotName>();
  const noticed = new Map<SlotName, number>();
  const now = (): number => performance.now();
  const beganMs = now();
  // The children of the lemond before this one are gone: each slot may still dial its own once.
  for (const slot of Object.keys(SLOT_MODELS) as SlotName[])
    losses.push({ slot, times: 1, isOver: () => now() > beganMs + AFTERMATH_MS });

  const covers = (kind: Spell["kind"], slot: SlotName, sinceMs: number): boolean =>
    spells.some(
      (spell) => spell.kind === kind && (spell.slot ?? slot) === slot && spell.endMs + AFTERMATH_MS > sinceMs,
    );

  return {
    /** Begins a spell; the function returned ends it. `slot` null: all of them. */
    begin: (kind: Spell["kind"], slot: SlotName | null): (() => void) => {
      const spell: Spell = { kind, slot, endMs: Infinity };
      spells.push(spell);
      return () => {
        spell.endMs = Math.min(spell.endMs, now());
      };
    },
    isActing: (slot: SlotName): boolean =>
      spells.some((spell) => spell.kind === "operator" && spell.slot === slot && spell.endMs === Infinity),
    takes: (loss: Loss): void => void losses.push(loss),
    failsLoad: (slot: SlotName): void => void loadsFailed.add(slot),
    /** The request of that mark was answered by a child that ran when it was sent, or later. */
    served: (slot: SlotName, { exits }: Mark): void => void noticed.set(slot, Math.max(exits, noticed.get(slot) ?? 0)),
    mark: (slot: SlotName): Mark => ({
      atMs: now(),
      exits: ledger.exitsOf(slot),
      noticedExits: noticed.get(slot) ?? 0,
      losses: losses.filter((loss) => loss.slot === slot && loss.isOver()),
    }),
    since: (mark: Mark, slot: SlotName, tookMs: number): Circumstances => ({
      models: SLOT_MODELS[slot],
      losses:
        ledger.exitsOf(slot) -
        mark.noticedExits +
        losses
          .filter((loss) => loss.slot === slot && !mark.losses.includes(loss))
          .reduce((sum, { times }) => sum + times, 0),
      wasDisturbed: covers("disturbance", slot, mark.atMs),
      loadsFailed: loadsFailed.has(slot) || ledger.failedLoadsOf(slot) > 0,
      operatorActed: covers("operator", slot, mark.atMs),
      wasLoading: covers("loading", slot, mark.atMs),
      tookMs,
      holdMs,
    }),
  };
}
