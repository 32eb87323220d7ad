// The event feed: what its readers are told and when, and what happened to the slots in the last hour.
// Looks at the slots only while somebody reads, a few times a second: a thousand requests are not a thousand events.
import { stopping } from "./accepted.ts";
import { createReader, type Reader } from "./feed-reader.ts";
import type { RepairEntry } from "../observe/repairs.ts";
import type { SlotSnapshot } from "../slots/snapshot.ts";
import { isRoutine, type SlotState } from "../slots/transitions.ts";

export interface EventsDeps {
  readonly slots: () => readonly SlotSnapshot[];
  readonly status: () => Status;
}

/** What each event of the feed holds. */
export interface FeedEvents {
  readonly slot: SlotSnapshot;
  /** With the names of the slots: a slot that is not named is gone. */
  readonly server: Status & { readonly slots: readonly string[] };
  /** `since` is when the server started; transitions of the last hour. */
  readonly history: { readonly since: string; readonly transitions: readonly Transition[] };
  readonly transition: Transition;
  readonly repair: RepairEntry;
}

export interface LemonadeStatus {
  readonly up: boolean | null;
  readonly version: string | null;
}

export interface Status {
  readonly status: "ok" | "draining";
  readonly version: string;
  /** `up` is null before lemond was asked. */
  readonly lemonade: LemonadeStatus;
  /** Each by its name, where there are several. */
  readonly lemonades?: Readonly<Record<string, LemonadeStatus>> | undefined;
}

export interface Transition {
  readonly time: string;
  readonly slot: string;
  readonly from: SlotState;
  readonly to: SlotState;
}

export interface Events {
  /** The SSE answer to `GET /api/slots/events`. Throws DispatchError of `server.draining` once closed. */
  open(request: Request): Response;
  /** To be told of each change of a slot's state; those that come with every request are passed over. */
  entered(slot: string, state: SlotState): void;
  repaired(repair: RepairEntry): void;
  readonly readers: number;
  /** Ends every feed; there is none afterwards. */
  close(): void;
}

export const LOOK_MS = 150;
const LOOKS_A_BEAT = 100;
/** A connection that takes nothing for so long is cut by the server (app.ts): three beats of 15 s. */
export const FEED_SILENCE_S = 45;
const HISTORY_MS = 3600 * 1000;
const MOST_TRANSITIONS = 300;

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};

export function createEvents(deps: EventsDeps): Events {
  const readers = new Set<Reader>();
  /** What the readers know, as text: by slot, and the server under "". */
  const shown = new Map<string, string>();
  const states = new Map<string, SlotState>();
  const since = new Date().toISOString();
  let transitions: Transition[] = [];
  let told = 0;
  let looking: Timer | null = null;
  let isClosed = false;

  const isNews = (name: string, data: object): boolean => {
    const text = JSON.stringify(data);
    if (shown.get(name) === text) return false;
    shown.set(name, text);
    return true;
  };

  const tellAll = <E extends keyof FeedEvents>(key: string, event: E, data: FeedEvents[E]): void => {
    for (const reader of readers) reader.tell(key, event, data);
  };

  /** Tells the readers what is new, and says what is. */
  const look = () => {
    const slots = deps.slots();
    const server = { ...deps.status(), slots: slots.map(({ name }) => name) };
    for (const slot of slots) if (isNews(slot.name, slot)) tellAll(`slot ${slot.name}`, "slot", slot);
    if (isNews("", server)) tellAll("server", "server", server);
    return { slots, server };
  };

  const startLooking = (): Timer => {
    let looks = 0;
    return setInterval(() => {
      look();
      if (++looks % LOOKS_A_BEAT === 0) for (const reader of readers) reader.beat();
    }, LOOK_MS);
  };

  const leave = (reader: Reader): void => {
    readers.delete(reader);
    if (readers.size > 0 || !looking) return;
    clearInterval(looking);
    looking = null;
    shown.clear();
  };

  /** What happened once is told once: it has a key of its own. */
  const tellOnce = <E extends keyof FeedEvents>(event: E, data: FeedEvents[E]): void => {
    if (readers.size > 0) tellAll(`once ${++told}`, event, data);
  };

  return {
    open: (request) => {
      if (isClosed) throw stopping();
      // Its signal has been given already, and would end no feed.
      if (request.signal.aborted) return new Response(null, { headers: HEADERS });
      const { slots, server } = look();
      const reader = createReader(request.signal, () => leave(reader));
      for (const slot of slots) reader.tell(`slot ${slot.name}`, "slot", slot);
      reader.tell("server", "server", server);
      const oldest = new Date(Date.now() - HISTORY_MS).toISOString();
      reader.tell("history", "history", { since, transitions: transitions.filter(({ time }) => time >= oldest) });
      readers.add(reader);
      looking ??= startLooking();
      return new Response(reader.body, { headers: HEADERS });
    },
    entered: (slot, to) => {
      const from = states.get(slot) ?? "offline";
      if (from === to) return;
      states.set(slot, to);
      if (isRoutine(from, to)) return;
      const transition = { time: new Date().toISOString(), slot, from, to };
      transitions = [...transitions, transition].slice(-MOST_TRANSITIONS);
      tellOnce("transition", transition);
    },
    repaired: (repair) => tellOnce("repair", repair),
    get readers() {
      return readers.size;
    },
    close: () => {
      isClosed = true;
      for (const reader of readers) reader.end();
    },
  };
}
