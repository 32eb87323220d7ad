// Visits every state that can be reached: all interleavings of the requests, the repair, the operator and what goes wrong.
import { laws } from "./laws.ts";
import { advance, begin, unload, type NextStep } from "./recovery.ts";
import { lose, movesOf, repairEnded, type Which } from "./requests.ts";
import {
  adopt,
  bury,
  count,
  settled,
  spend,
  startOf,
  type Action,
  type Recovery,
  type Start,
  type World,
} from "./world.ts";

export interface Explored {
  readonly states: number;
  readonly ends: number;
  /** Of the longest run. */
  readonly depth: number;
  /** The first law broken, and the run that leads there. */
  readonly fault: { readonly law: string; readonly run: readonly World[] } | null;
}

const BOTH: readonly Which[] = [0, 1];

/** Depth first; a state met again on its own run is a wait for ever. */
export function explore(start: Start, nextStep: NextStep): Explored {
  const first = startOf(start);
  const depthBelow = new Map<string, number>();
  const onRun = new Set<string>();
  const run: { world: World; key: string; moves: World[]; below: number }[] = [];
  let ends = 0;
  const found = (law: string, last: World): Explored => {
    const worlds = [...run.map(({ world }) => world), last];
    return { states: depthBelow.size, ends, depth: run.length, fault: { law, run: worlds } };
  };
  const enter = (world: World): void => {
    const key = keyOf(world);
    onRun.add(key);
    run.push({ world, key, moves: movesFrom(world, nextStep), below: 0 });
  };
  enter(first);
  for (let top = run.at(-1); top; top = run.at(-1)) {
    const isEnd = top.moves.length === 0 && top.below === 0;
    const next = top.moves.pop();
    if (next === undefined) {
      if (isEnd) {
        ends += 1;
        const law = laws(top.world, true);
        if (law !== null) return found(law, top.world);
      }
      run.pop();
      onRun.delete(top.key);
      depthBelow.set(top.key, top.below);
      const parent = run.at(-1);
      if (parent) parent.below = Math.max(parent.below, top.below + 1);
      continue;
    }
    const law = laws(next, false);
    if (law !== null) return found(law, next);
    const key = keyOf(next);
    if (onRun.has(key)) return found("somebody goes round in circles", next);
    const known = depthBelow.get(key);
    if (known === undefined) enter(next);
    else top.below = Math.max(top.below, known + 1);
  }
  return { states: depthBelow.size, ends, depth: depthBelow.get(keyOf(first)) ?? 0, fault: null };
}

/** The two requests are alike: which is which makes no difference. */
function keyOf(world: World): string {
  const { listed, running, isWarming, lastChild, child, buried, generation, backsOff, repair, action, order, poll } =
    world;
  const { left, counts } = world;
  const requests = world.requests.map((request) => Object.values(request).join(",")).sort();
  const recovery = (one: Recovery | null): string => (one ? Object.values(one).join(",") : "-");
  return [
    [listed, running, isWarming, lastChild, child, buried, generation, backsOff, order].join(","),
    recovery(repair),
    action ? `${action.phase},${recovery(action.recovery)}` : "-",
    poll ? `${poll.listed},${poll.isFresh}` : "-",
    Object.values(left).join(","),
    Object.values(counts).join(","),
    ...requests,
  ].join(";");
}

function movesFrom(world: World, nextStep: NextStep): World[] {
  return [
    ...BOTH.flatMap((which) => movesOf(world, which, nextStep)),
    ...repairMoves(world, nextStep),
    ...operatorMoves(world, nextStep),
    ...lemondMoves(world),
    ...pollMoves(world),
  ];
}

function repairMoves(world: World, nextStep: NextStep): World[] {
  if (!world.repair) return [];
  return advance(world, world.repair, "repair", nextStep).map((next) =>
    next.outcome === null ? { ...next.world, repair: next.recovery } : repairEnded(next.world, next.outcome),
  );
}

/** One order: it is refused while a repair is under way, otherwise the gate closes until it is carried out. */
function operatorMoves(world: World, nextStep: NextStep): World[] {
  const { action, order } = world;
  if (!action) {
    if (order === null) return [];
    if (world.repair) return [{ ...world, order: null }];
    const begun: Action =
      order === "load"
        ? { order, phase: "bring", recovery: begin(world.child ?? world.buried, false) }
        : { order, phase: "draining", recovery: null };
    return [{ ...world, order: null, action: begun }];
  }
  switch (action.phase) {
    case "draining": {
      const flying = BOTH.filter((which) => world.requests[which].at === "flying");
      // Drained, or the time is over and what runs is cut off.
      const cut = flying.reduce((next, which) => lose(next, which, nextStep), world);
      const drained = flying.length > 0 ? count(cut, "cuts") : cut;
      return [{ ...drained, action: { ...action, phase: "unload" } }];
    }
    case "unload": {
      const down = { ...settled(unload(world, "operator")), child: null };
      if (action.order === "unload") return [{ ...down, action: null }];
      return [{ ...down, action: { ...action, phase: "bring", recovery: begin(down.buried, false) } }];
    }
    case "bring": {
      if (!action.recovery) return [];
      return advance(world, action.recovery, "operator", nextStep).map((next) => {
        if (next.outcome === null) return { ...next.world, action: { ...action, recovery: next.recovery } };
        const backsOff = next.outcome === "load-failed" ? true : next.world.backsOff;
        return { ...next.world, backsOff, action: null };
      });
    }
  }
}

/** What happens by itself: a child dies, lemond notices (11.7 only), a child is warm, a back-off is over. */
function lemondMoves(world: World): World[] {
  const { left, running, listed } = world;
  const moves: World[] = [];
  if (left.deaths > 0 && running !== null)
    moves.push(count(spend({ ...world, running: null, isWarming: false }, "deaths"), "deaths"));
  if (world.version === "11.7" && listed !== null && running !== listed) moves.push({ ...world, listed: null });
  if (world.isWarming) moves.push({ ...world, isWarming: false });
  if (world.backsOff && left.backOffsOver > 0) moves.push(spend({ ...world, backsOff: false }, "backOffsOver"));
  return moves;
}

/** Lemond is asked, and some time later the slot is shown the answer: as `observe` of `src/watch.ts`. */
function pollMoves(world: World): World[] {
  const { poll, child, buried } = world;
  if (!poll)
    return world.left.polls > 0 ? [{ ...spend(world, "polls"), poll: { listed: world.listed, isFresh: true } }] : [];
  const over = { ...world, poll: null };
  if (world.repair || world.action || !poll.isFresh) return [over];
  const { listed } = poll;
  if (child !== null && (listed === null || (listed === child && world.running !== child))) return [bury(over, child)];
  return [listed !== null && listed !== child && listed !== buried ? adopt(over, listed) : over];
}
