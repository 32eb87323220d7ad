// What becomes of a world in which nothing goes wrong any more: everybody gets an answer, every job ends, and the slots have
// what lemond lists.
import { slotsShown } from "../../src/slots/roster.ts";
import { isAlive } from "./lemond.ts";
import { brokenIn } from "./laws-of-states.ts";
import { type Move, movesOf } from "./moves.ts";
import { none, type World } from "./world.ts";

/** Far more than any world has needed. */
const MOST_MOVES = 300;

/** Changes the world. Null: all is well in the end. */
export function brokenInTheEnd(world: World): string | null {
  world.budget = { ...none };
  let quietAt: number | null = null;
  for (let moves = 0; moves < MOST_MOVES; moves++) {
    const { known, lemond } = world;
    if (isQuiet(world)) {
      // Of the end of the server nothing more is expected, of lemond one more answer.
      if (world.isEnded) return null;
      quietAt ??= known.lastId;
      if (lemond.isUp && (known.listing?.askedAt ?? 0) > quietAt) return unknownTo(world);
    }
    const move = nextOf(world);
    if (!move) return "something waits for ever";
    move.kind.make(world, move.target);
    const broken = world.broken[0] ?? brokenIn(world);
    if (broken) return broken;
  }
  return "something goes on for ever";
}

/** The clock goes on only when nothing else is to happen. */
function nextOf(world: World): Move | undefined {
  const moves = movesOf(world).filter(({ kind }) => kind.isWilled !== true);
  return moves.find(({ kind }) => kind.isClock !== true) ?? moves[0];
}

function isQuiet({ known, requests, orders, pending, isEnded }: World): boolean {
  if (isEnded) return true;
  if (requests.includes("in") || orders.includes("in") || pending.length > 0) return false;
  return [...known.slots.values()].every(({ job }) => job === null);
}

function unknownTo({ known, lemond }: World): string | null {
  for (const { model, child } of slotsShown(known)) {
    const listed = lemond.listed.find((process) => process.model === model);
    const pid = child === null ? null : known.children.get(child)?.pid;
    if (listed && isAlive(lemond, listed.pid) && pid !== listed.pid)
      return "a slot does not have the child that lemond lists";
    if (!listed && pid !== null) return "a slot has a child that lemond does not list";
  }
  return null;
}
