// One move of a request in the model: the way to a child, the dial, the reply or the loss, as `src/slot.ts` has it.
import { begin, type NextStep } from "./recovery.ts";
import { count, settled, spend, type Request, type World } from "./world.ts";

export type Which = 0 | 1;

export function withRequest(world: World, which: Which, request: Request): World {
  const [first, second] = world.requests;
  return { ...world, requests: which === 0 ? [request, second] : [first, request] };
}

type End = Extract<Request, { at: "done" }>["how"];

function finished(world: World, which: Which, how: End): World {
  const { attempts, lostAt } = world.requests[which];
  return withRequest(world, which, { attempts, lostAt, at: "done", how });
}

/** At arrival, and after attempt 1 was lost. */
export function findWay(world: World, which: Which, nextStep: NextStep, isStale = false): World {
  const { attempts, lostAt } = world.requests[which];
  if (world.child !== null && !world.action && !world.repair && lostAt === null) return dial(world, which, nextStep);
  const step = nextStep({
    clientGone: false,
    operatorActing: world.action !== null,
    movedOn: world.child !== null && lostAt !== null && world.generation > lostAt,
    repairUnderWay: world.repair !== null,
    hasChild: world.child !== null,
    backsOff: world.backsOff,
    lemond: "unasked",
    child: "unasked",
  });
  switch (step) {
    case "gate":
      if (world.gate === "reject") return finished(world, which, "loading");
      return withRequest(world, which, { attempts, lostAt, at: "gated" });
    case "use-current":
      return dial(world, which, nextStep);
    case "join":
      return withRequest(world, which, { attempts, lostAt, at: "waiting", isStale, outcome: null });
    case "back-off":
      return finished(world, which, "original-error");
    case "ask-lemond": {
      if (world.repair) return { ...world, fault: "a second repair beside the one under way" };
      const repair = begin(world.child ?? world.buried, lostAt === null);
      return withRequest({ ...world, repair }, which, {
        attempts,
        lostAt,
        at: "waiting",
        isStale: false,
        outcome: null,
      });
    }
    default:
      return { ...world, fault: `a request was told to ${step}` };
  }
}

/** A child that is gone is not dialled: that counts as a lost attempt. */
function dial(world: World, which: Which, nextStep: NextStep): World {
  const { attempts, lostAt } = world.requests[which];
  const { child, generation } = world;
  const dialled = attempts + 1;
  const isThere = child !== null && world.running === child;
  const flying = withRequest(world, which, { attempts: dialled, lostAt, at: "flying", child: child ?? 0, generation });
  return isThere ? flying : lose(flying, which, nextStep);
}

/** The connection of a request under way is lost. */
export function lose(world: World, which: Which, nextStep: NextStep): World {
  const request = world.requests[which];
  if (request.at !== "flying") return world;
  const { attempts, lostAt, generation } = request;
  if (lostAt !== null) return finished(world, which, "original-error");
  const lost = withRequest(world, which, { attempts, lostAt: generation, at: "new" });
  return findWay(lost, which, nextStep, world.repair !== null);
}

/** All moves of one request. */
export function movesOf(world: World, which: Which, nextStep: NextStep): World[] {
  const request = world.requests[which];
  const leaves =
    request.at !== "done" && world.left.leaves > 0 ? [finished(spend(world, "leaves"), which, "gone")] : [];
  switch (request.at) {
    case "done":
      return [];
    case "new":
      return [findWay(world, which, nextStep), ...leaves];
    case "gated":
      return [...(world.action ? [] : [findWay(world, which, nextStep)]), ...leaves];
    case "flying": {
      if (world.running !== request.child) return [lose(world, which, nextStep), ...leaves];
      const resets = world.left.resets > 0 ? [lose(count(spend(world, "resets"), "resets"), which, nextStep)] : [];
      return [finished(world, which, "reply"), ...resets, ...leaves];
    }
    case "waiting": {
      const { outcome, lostAt, isStale } = request;
      if (outcome === null) {
        const late = world.left.holdsOver > 0 ? [finished(spend(world, "holdsOver"), which, "loading")] : [];
        return [...late, ...leaves];
      }
      if (outcome === "failed" || outcome === "load-failed")
        return [finished(world, which, "original-error"), ...leaves];
      // That the child was alive before this connection was lost proves nothing: it looks again.
      const goesOn = lostAt !== null && outcome !== "abandoned" && !(outcome === "alive" && isStale);
      return [goesOn ? dial(world, which, nextStep) : findWay(world, which, nextStep), ...leaves];
    }
  }
}

/** Everyone who waits for the repair hears how it ended. */
export function repairEnded(world: World, outcome: NonNullable<Extract<Request, { at: "waiting" }>["outcome"]>): World {
  const told = (request: Request): Request =>
    request.at === "waiting" && request.outcome === null ? { ...request, outcome } : request;
  const [first, second] = world.requests;
  const backsOff = outcome === "load-failed" ? true : world.backsOff;
  return { ...settled(world), repair: null, backsOff, requests: [told(first), told(second)] };
}
