// Puts step.ts's questions to lemond and its children, and reports the answers as events. Watches the processes of
// the children that can be seen here. Judges nothing.
import type { ChildAsked, Event } from "../slots/events.ts";
import type { Child } from "../slots/known.ts";
import type { ChildEvidence } from "../slots/repair.ts";
import type { Clock } from "../observe/clock.ts";
import type { Log } from "../observe/log.ts";
import { inTime } from "./in-time.ts";
import type { Lemonade } from "./lemonade.ts";
import type { Listing } from "./listing.ts";
import type { Probe } from "./probe.ts";
import { type ProcessWatch, watchChild } from "./process.ts";

export interface WatchDeps {
  readonly lemonade: Lemonade;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly log: Log;
  readonly happen: (event: Event) => void;
}

export type Watch = ReturnType<typeof createWatch>;

const IDENTITY_MS = 3000;
/** A question to an orphan is up to three, of 3 s each. */
const CHILD_MS = 10_000;

export function createWatch({ lemonade, probe, clock, log, happen }: WatchDeps) {
  /** Null where the pid cannot be seen (for example, another container). */
  const processes = new Map<number, ProcessWatch | null>();
  const refusedSoFar = new Set<string>();
  const { promise: firstAnswer, resolve: answered } = Promise.withResolvers<void>();

  const gone = (): number[] =>
    [...processes].flatMap(([child, process]) => (process && !process.isAlive() ? [child] : []));

  const noteRefused = ({ distrusted }: Listing): void => {
    for (const model of distrusted) {
      if (refusedSoFar.has(model)) continue;
      refusedSoFar.add(model);
      log.error("lemonade.backend_url_refused", { model, error: "neither on loopback nor on lemond's own host" });
    }
  };

  const signOf = async ({ child, isShared, how }: ChildAsked): Promise<ChildEvidence> => {
    const process = processes.get(child.id) ?? null;
    if (process && !process.isAlive()) return "gone";
    if (how === "pid") return "silent";
    return child.checkpoint === null || (process && !isShared)
      ? probe.health(child.url)
      : probe.identity(child.url, child.checkpoint, AbortSignal.timeout(IDENTITY_MS));
  };

  /** A child orphaned by a killed lemond gives /slots no answer: any answer is a sign of life. Asks twice. */
  const signOfOrphan = async (asked: ChildAsked): Promise<ChildEvidence> => {
    const sign = await signOf(asked);
    if (sign === "gone" || sign === "refused" || sign === "stranger") return sign;
    const first = await probe.slots(asked.child.url);
    return first === "silent" ? probe.slots(asked.child.url) : "ok";
  };

  return {
    /** Resolves when lemond has answered or refused for the first time. */
    firstAnswer,
    askLemond: async (question: number): Promise<void> => {
      const askedMs = clock.now();
      const answer = await lemonade.health(question);
      const tookMs = clock.now() - askedMs;
      const isLive = answer.kind === "silent" && (await lemonade.isLive());
      try {
        if (answer.kind === "listing") noteRefused(answer);
        if (answer.kind === "silent") log.debug("lemonade.busy", { live: isLive, error: answer.cause });
      } catch (error) {
        // The event below must follow: lemond is not polled again before it.
        log.error("server.internal", { error: error instanceof Error ? `${error.name}: ${error.message}` : "unknown" });
      }
      happen({ kind: "health", question, answer, isLive, tookMs, gone: gone() });
      answered();
    },
    askChild: async (asked: ChildAsked): Promise<void> => {
      const { question, child, how } = asked;
      const answer = inTime(how === "slots" ? signOfOrphan(asked) : signOf(asked), CHILD_MS);
      const sign = await answer.catch(() => "silent" as const);
      if (sign !== "unasked") happen({ kind: "sign", question, child: child.id, how, sign });
    },
    open: (child: Child): void => void processes.set(child.id, watchChild(child)),
    forget: (child: number): void => {
      processes.get(child)?.close();
      processes.delete(child);
    },
    processOf: ({ id }: Child): ProcessWatch | null => processes.get(id) ?? null,
  };
}
