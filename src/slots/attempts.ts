// The attempts of one lemond's requests: the calls by number, one fetch each time that step.ts says so, and the answer to
// whoever waits for it. Counts nothing and repeats nothing by itself.
import {
  attempt,
  type Connection,
  cut,
  type Ended,
  type LossCause,
  openConnection,
  type Outcome,
} from "../dispatch/attempt.ts";
import { type Call, type LemondWay, type Sent, targetOf } from "../dispatch/call.ts";
import type { Lemonade } from "../lemonade/lemonade.ts";
import type { Places } from "../lemonade/places.ts";
import type { Probe } from "../lemonade/probe.ts";
import type { ProcessWatch } from "../lemonade/process.ts";
import type { Event } from "./events.ts";
import { type Failure, failureOf } from "./failures.ts";
import type { Child, Request, Settings, SlotRecord } from "./known.ts";
import { GONE, isLost, LOST_BY_LEMOND, objectionTo } from "./losses.ts";
import { all, createTable, found, nextNumber, put, remove } from "./table.ts";

export interface AttemptsDeps {
  readonly lemonade: Pick<Lemonade, "url" | "keyHeaders">;
  readonly places: Places;
  readonly probe: Probe;
  readonly settings: Settings;
  readonly firstByteTimeoutMs: () => number;
  readonly happen: (event: Event) => void;
  readonly processOf: (child: Child) => ProcessWatch | null;
  readonly onDial: () => void;
}

interface Pending {
  readonly slot: SlotRecord;
  readonly call: Call;
  readonly resolve: (sent: Sent) => void;
  readonly reject: (error: Error) => void;
  /** The URL last dialled. */
  target: string;
  isClientHeeded: boolean;
}

/** An attempt under way. */
export interface Flight {
  readonly child: Child;
  readonly connection: Connection;
  /** At the child itself, not through lemond. */
  readonly isDirect: boolean;
  /** Gives back its place at lemond's own port. */
  leave: (() => void) | null;
}

/** One request: whoever waits for its answer, and its attempt. Over when there is neither. */
interface UnderWay {
  pending: Pending | null;
  flight: Flight | null;
}

export type Attempts = ReturnType<typeof createAttempts>;

export function createAttempts(deps: AttemptsDeps) {
  const { happen, probe, settings } = deps;
  /** One table: two could fill the places between them, and no number would be free in both. */
  const underWay = createTable<UnderWay>();
  let lastId = 0;

  const clientGone: Sent = {
    outcome: { kind: "client-gone" },
    label: null,
    target: settings.lemondUrl,
    headers: {},
    end: () => {},
  };

  const pendingOf = (id: number): Pending | null => found(underWay, id)?.pending ?? null;

  const fly = ({ id }: Request, flight: Flight): void => {
    const there = found(underWay, id);
    if (there) there.flight = flight;
  };

  /** False where there was no attempt. */
  const land = (id: number): boolean => {
    const there = found(underWay, id);
    if (!there?.flight) return false;
    there.flight.leave?.();
    there.flight = null;
    if (!there.pending) remove(underWay, id);
    return true;
  };

  /** Null where somebody has answered it already. */
  const take = (id: number): Pending | null => {
    const there = found(underWay, id);
    if (!there) return null;
    const { pending } = there;
    there.pending = null;
    if (!there.flight) remove(underWay, id);
    return pending;
  };

  const settle = (id: number, sent: Sent): void => take(id)?.resolve(sent);

  /** Reports how the attempt ended, as an event; a reply goes to whoever waits for it. */
  const conclude = (request: Request, outcome: Outcome): void => {
    const { id, label, waitedMs } = request;
    const target = pendingOf(id)?.target ?? settings.lemondUrl;
    if (outcome.kind === "lost") {
      land(id);
      const isWait = outcome.cause === "loading";
      happen(isWait ? { kind: "still-loading", request: id } : { kind: "lost", request: id, lost: outcome });
      return heedClient(id);
    }
    if (outcome.kind === "reply" && "source" in outcome)
      return settle(id, {
        outcome,
        label,
        target,
        waitedMs,
        isDirect: request.isDirect,
        headers: clientGone.headers,
        end: endOf(id),
      });
    land(id);
    happen({ kind: outcome.kind === "client-gone" ? "left" : "ended", request: id });
    settle(id, { outcome, label, target, waitedMs, headers: clientGone.headers, end: clientGone.end });
  };

  /** Made apart from the attempt: a closure there would keep the request's body for as long as the stream runs. */
  const endOf = (id: number) => {
    return (interruption: LossCause | null): void => {
      if (!land(id)) return;
      happen(interruption ? { kind: "broken", request: id, cause: interruption } : { kind: "ended", request: id });
    };
  };

  const dialled = async (
    request: Request,
    { call, target }: Pending,
    child: Child,
    isShared: boolean,
  ): Promise<void> => {
    const process = deps.processOf(child);
    if (process && !process.wasAlive()) return conclude(request, GONE);
    const objection = process && !isShared ? null : objectionTo(probe, child);
    const connection = openConnection(call.client);
    fly(request, { child, connection, isDirect: true, leave: null });
    const dial = { url: target, firstByteTimeoutMs: deps.firstByteTimeoutMs(), objection };
    conclude(request, await attempt(call, dial, connection));
  };

  const throughLemond = async (
    request: Request,
    pending: Pending,
    way: LemondWay,
    child: Child,
    model: string,
  ): Promise<void> => {
    const { call, target } = pending;
    const headers = new Headers(call.headers);
    for (const [name, value] of Object.entries(deps.lemonade.keyHeaders)) headers.set(name, value);
    const body = call.body && way.rewrite(call.body, model);
    const connection = openConnection(call.client);
    const flight: Flight = { child, connection, isDirect: false, leave: null };
    fly(request, flight);
    const dial = {
      url: target,
      firstByteTimeoutMs: deps.firstByteTimeoutMs(),
      objection: async (limit: AbortSignal): Promise<LossCause | null> => {
        const leave = await deps.places.take(limit);
        if (found(underWay, request.id)?.flight === flight) flight.leave = leave;
        else leave();
        // For a dead child, lemond 10.6 answers Ollama's streams with an empty text and no error.
        return deps.processOf(child)?.isAlive() === false ? "pid gone" : null;
      },
    };
    const outcome = await attempt({ ...call, headers, body }, dial, connection);
    if (!isLost(outcome)) return conclude(request, outcome);
    if (outcome.kind === "reply" && "source" in outcome) outcome.source.cut(LOST_BY_LEMOND);
    conclude(request, LOST_BY_LEMOND);
  };

  return {
    flights: (): Flight[] => all(underWay).flatMap(({ flight }) => flight ?? []),
    send: (slot: SlotRecord, call: Call): Promise<Sent> => {
      const id = nextNumber(underWay, lastId);
      lastId = id;
      return new Promise((resolve, reject) => {
        const pending = { slot, call, resolve, reject, target: settings.lemondUrl, isClientHeeded: false };
        put(underWay, id, { pending, flight: null });
        // An abort that came before does not come again.
        if (call.client.aborted) return settle(id, clientGone);
        const bodyBytes = call.body?.byteLength ?? 0;
        const { requestId: name, isContinuation = false, lemond } = call;
        const mayDial = lemond?.isOnlyWay !== true;
        const isName = call.model === slot.name || slot.config.aliases.includes(call.model);
        const model = isName ? null : call.model;
        happen({ kind: "arrived", request: { id, name, slot: slot.id, bodyBytes, isContinuation, model, mayDial } });
        heedClient(id);
      });
    },
    dial: (request: Request, slot: SlotRecord, child: Child, isShared: boolean): void => {
      const pending = pendingOf(request.id);
      if (!pending) return;
      const { lemond } = pending.call;
      if (!request.isDirect && lemond) {
        pending.target = lemond.url(deps.lemonade.url);
        return void throughLemond(request, pending, lemond, child, slot.model);
      }
      pending.target = targetOf(child.url, pending.call.path);
      deps.onDial();
      void dialled(request, pending, child, isShared);
    },
    /** The URL it was last sent to. */
    targetOf: ({ id }: Request): string => pendingOf(id)?.target ?? settings.lemondUrl,
    cut: (request: number, ended: Ended): void => {
      const flight = found(underWay, request)?.flight;
      if (flight) cut(flight.connection, ended);
    },
    answer: (request: Request, failure: Failure): void => {
      const pending = take(request.id);
      if (!pending) return;
      const sent = failureOf(failure, pending.slot, pending.target);
      if (sent instanceof Error) pending.reject(sent);
      else pending.resolve({ ...sent, waitedMs: request.waitedMs });
    },
  };

  /** An attempt under way listens for its client's abort itself; this listens for a request that is held. */
  function heedClient(id: number): void {
    const there = found(underWay, id);
    const pending = there?.pending;
    if (!pending || pending.isClientHeeded || there.flight) return;
    pending.isClientHeeded = true;
    pending.call.client.addEventListener("abort", () => leave(id), { once: true });
    // An abort that came before does not come again.
    if (pending.call.client.aborted) leave(id);
  }

  /** The client of a request that is held has gone. */
  function leave(id: number): void {
    if (!pendingOf(id) || found(underWay, id)?.flight) return;
    happen({ kind: "left", request: id });
    settle(id, clientGone);
  }
}
