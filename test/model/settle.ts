// What becomes of a world in which nothing goes wrong any more: everybody gets an answer, every job ends, and the slots have
// what lemond lists.
import { slotsShown } from "../../src/slots/roster.ts";
import { isAlive } from "./lemond.ts";
import { brokenIn } from "./laws-of-states.ts";
import { type Move, movesOf } from "./moves.ts";
import { none, type World } from "./world.ts";

/** Far more than any world has needed. */
const MOST_MOVES = 300;

export interface End {
  readonly moves: readonly Move[];
  /** The law that is broken on the way; null: all is well in the end. */
  readonly broken: string | null;
}

/** Changes the world. */
export function endOf(world: World): End {
  const moves: Move[] = [];
  return { broken: settle(world, moves), moves };
}

function settle(world: World, moves: Move[]): string | null {
  world.budget = { ...none };
  let quietAt: number | null = null;
  while (moves.length < MOST_MOVES) {
    const { known, lemond } = world;
    if (isQuiet(world)) {
      // Of the end of the server nothing more is expected, of lemond one more answer.
      if (world.isEnded) return null;
      quietAt ??= known.lastId;
      if (lemond.isUp && (known.listing?.askedAt ?? 0) > quietAt) return unknownTo(world);
    }
    const move = nextOf(world);
    if (!move) return "something waits for ever";
    moves.push(move);
    move.kind.make(world, move.target);
    const broken = world.broken[0] ?? brokenIn(world);
    if (broken) return broken;
  }
  return "something goes on for ever";
}

/** The clock goes on only when nothing else is to happen. */
function nextOf(world: World): Move | undefined {
  const possible = movesOf(world).filter(({ kind }) => kind.isWilled !== true);
  return possible.find(({ kind }) => kind.isClock !== true) ?? possible[0];
}

function isQuiet({ known, requests, orders, pending, isEnded }: World): boolean {
  if (isEnded) return true;
  if (requests.includes("in") || orders.includes("in") || pending.length > 0) return false;
  return [...known.slots.values()].every(({ job }) => job === null);
}

function unknownTo({ known, lemond }: World): string | null {
  for (const { model, child, dead } of slotsShown(known)) {
    const listed = lemond.listed.find((process) => process.model === model);
    const pidOf = (id: number | null): number | null => (id === null ? null : (known.children.get(id)?.pid ?? null));
    const pid = pidOf(child);
    // One that was found dead is taken back when somebody asks for it.
    const isMissed = listed !== undefined && isAlive(lemond, listed.pid) && listed.pid !== pidOf(dead);
    if (isMissed && pid !== listed.pid) return "a slot does not have the child that lemond lists";
    if (!listed && pid !== null) return "a slot has a child that lemond does not list";
  }
  return null;
}
