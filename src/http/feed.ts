// The event feed: what its readers are told and when, and what happened to the slots in the last hour.
// Looks at the slots only while somebody reads, a few times a second: a thousand requests are not a thousand events.
import { stopping } from "./accepted.ts";
import { createReader, type Reader } from "./feed-reader.ts";
import type { Log, LogLine } from "../observe/log.ts";
import type { Records } from "../observe/records.ts";
import type { RepairEntry } from "../observe/repairs.ts";
import type { RequestRecord } from "../observe/requests.ts";
import type { Headline } from "../observe/totals.ts";
import type { SlotSnapshot } from "../slots/snapshot.ts";
import { isRoutine, type SlotState } from "../slots/transitions.ts";

export interface EventsDeps {
  readonly slots: () => readonly SlotSnapshot[];
  readonly status: () => Status;
  readonly records: Pick<Records, "requestsAfter" | "headline">;
  readonly log: Pick<Log, "after">;
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
  /** One that has ended; of very many at once the newest. */
  readonly request: RequestRecord;
  readonly totals: Headline;
  /** Lines of the log since the last such event; of very many the newest. */
  readonly log: { readonly lines: readonly LogLine[] };
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
  readonly lemonade_url: string;
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
  /** To be told of each change of a slot's state; changes that every request makes are left out. */
  entered(slot: string, state: SlotState): void;
  repaired(repair: RepairEntry): void;
  readonly readers: number;
  /** Ends every feed; there is none afterwards. */
  close(): void;
}

export const LOOK_MS = 150;
const LOOKS_A_BEAT = 100;
const MOST_REQUESTS_A_LOOK = 25;
const MOST_LINES_A_LOOK = 50;
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
  /** What the readers were last told, as text, by key. */
  const shown = new Map<string, string>();
  const states = new Map<string, SlotState>();
  const since = new Date().toISOString();
  let transitions: Transition[] = [];
  let told = 0;
  let requestsTold = 0;
  let linesTold = 0;
  let looking: Timer | null = null;
  let isClosed = false;

  const tellAll = <E extends keyof FeedEvents>(key: string, event: E, data: FeedEvents[E]): void => {
    for (const reader of readers) reader.tell(key, event, data);
  };

  const tellNews = <E extends keyof FeedEvents>(key: string, event: E, data: FeedEvents[E]): void => {
    const text = JSON.stringify(data);
    if (shown.get(key) === text) return;
    shown.set(key, text);
    tellAll(key, event, data);
  };

  /** Tells an event that nothing later replaces: it gets a key of its own. */
  const tellOnce = <E extends keyof FeedEvents>(event: E, data: FeedEvents[E]): void => {
    if (readers.size > 0) tellAll(`once ${++told}`, event, data);
  };

  /** Tells the readers what is new; gives the present state. */
  const look = () => {
    const slots = deps.slots();
    const server = { ...deps.status(), slots: slots.map(({ name }) => name) };
    const totals = deps.records.headline();
    for (const slot of slots) tellNews(`slot ${slot.name}`, "slot", slot);
    tellNews("server", "server", server);
    tellNews("totals", "totals", totals);
    const { count, records } = deps.records.requestsAfter(requestsTold);
    requestsTold = count;
    for (const record of records.slice(-MOST_REQUESTS_A_LOOK)) tellOnce("request", record);
    const log = deps.log.after(linesTold);
    linesTold = log.count;
    if (log.lines.length > 0) tellOnce("log", { lines: log.lines.slice(-MOST_LINES_A_LOOK) });
    return { slots, server, totals };
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

  return {
    open: (request) => {
      if (isClosed) throw stopping();
      // An abort that came before does not come again, so it would never end the feed.
      if (request.signal.aborted) return new Response(null, { headers: HEADERS });
      const { slots, server, totals } = look();
      const reader = createReader(request.signal, () => leave(reader));
      for (const slot of slots) reader.tell(`slot ${slot.name}`, "slot", slot);
      reader.tell("server", "server", server);
      reader.tell("totals", "totals", totals);
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
