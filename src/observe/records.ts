// What is remembered of the past: the last requests and repairs, and totals by day. In memory, and in one small file where
// there is a folder for it. Never holds a prompt, an answer or a key.
import type { RepairRecord } from "../slots/slot.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { codeOf, type Kept, NOTHING_KEPT, readRecords, recordsPath, writeRecords } from "./records-file.ts";
import { rememberRepairs, type RepairEntry } from "./repairs.ts";
import { type EndedRequest, recordOf, type RequestRecord, savedOf, tokensPerSecond } from "./requests.ts";
import { createTotals, type Headline } from "./totals.ts";
import { tokensIn } from "./usage.ts";

export interface RecordsDeps {
  /** systemd's STATE_DIRECTORY; null keeps everything in memory alone. */
  readonly folder: string | null;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Records {
  /** Recorded in batches, and when somebody looks: one by one, each would find the processor's caches cold. */
  requestEnded(ended: EndedRequest): void;
  /** Records what has ended, so that the metrics have its tokens too. */
  settle(): void;
  repaired(repair: RepairRecord): RepairEntry;
  /** Newest first. */
  requests(): RequestRecord[];
  repairs(): RepairEntry[];
  /** Requests recorded since the server started, and the records of those after the first `count`, oldest first. */
  requestsAfter(count: number): { readonly count: number; readonly records: readonly RequestRecord[] };
  headline(): Headline;
  /** Writes what is not written yet; nothing is written afterwards. */
  close(): Promise<void>;
}

const REMEMBERED = 200;
const RECORDED_AT_ONCE = 16;
/** A reply's last bytes are held at most so long. */
const RECORD_MS = 100;
/** How much of the past a power cut may lose. */
const WRITE_MS = 30_000;

export function createRecords({ folder, log, metrics }: RecordsDeps): Records {
  const before = folder === null ? NOTHING_KEPT : readOrSay(folder, log);
  const repairs = rememberRepairs(before.repairs);
  const totals = createTotals(before.days);
  /** Oldest first: those from before the start, and those that have ended since. */
  const older = before.requests.slice(0, REMEMBERED).toReversed();
  let seen: EndedRequest[] = [];
  let count = 0;
  let ended: EndedRequest[] = [];
  let isWritten = true;
  let isFailing = false;
  let writing: Promise<void> = Promise.resolve();

  const settle = (): void => {
    const due = ended;
    ended = [];
    const bySlot = new Map<string, { prompt: number; completion: number; perSecond: number[] }>();
    for (const request of due) {
      if (request.ends) request.tokens = tokensIn(request.ends);
      request.ends = null;
      const { atMs, status, upstream, isSlot, waitedMs, tokens } = request;
      const perSecond = tokensPerSecond(request);
      seen.push(request);
      totals.add(atMs, { isServed: status < 400, saved: savedOf(request), waitedMs: waitedMs ?? 0 });
      if (!isSlot) continue;
      const sum = bySlot.get(upstream) ?? { prompt: 0, completion: 0, perSecond: [] };
      bySlot.set(upstream, sum);
      sum.prompt += tokens.prompt ?? 0;
      sum.completion += tokens.completion ?? 0;
      if (perSecond !== null) sum.perSecond.push(perSecond);
    }
    for (const [slot, { perSecond, ...sums }] of bySlot) metrics.answered(slot, sums, perSecond);
    seen = seen.slice(-REMEMBERED);
    count += due.length;
    isWritten &&= due.length === 0;
  };

  let settling: Timer | null = null;
  const settleInTime = (): void => {
    settling = null;
    settle();
  };

  /** Oldest first. Made when somebody looks: most requests are forgotten before anybody does. */
  const records = (): RequestRecord[] => {
    settle();
    return [...older, ...seen.map(recordOf)].slice(-REMEMBERED);
  };

  const write = async (to: string): Promise<void> => {
    settle();
    if (isWritten) return;
    isWritten = true;
    const kept: Kept = {
      days: totals.days(),
      repairs: repairs.list(),
      requests: records().toReversed(),
    };
    try {
      await writeRecords(to, kept);
      isFailing = false;
    } catch (error) {
      isWritten = false;
      // Once, not every 30 s: nothing but the records depends on it.
      if (!isFailing) log.warn("records.not_written", { path: recordsPath(to), error: codeOf(error) });
      isFailing = true;
    }
  };
  const writeInTurn = (): Promise<void> =>
    (writing = writing.then(() => (folder === null ? undefined : write(folder))));
  const timer = folder === null ? null : setInterval(() => void writeInTurn(), WRITE_MS);
  timer?.unref();

  return {
    requestEnded: (request) => {
      settling ??= setTimeout(settleInTime, RECORD_MS).unref();
      if (ended.push(request) >= RECORDED_AT_ONCE) settle();
    },
    settle,
    repaired: (repair) => {
      isWritten = false;
      return repairs.add(repair);
    },
    requests: () => records().toReversed(),
    repairs: repairs.list,
    requestsAfter: (known) => {
      settle();
      return { count, records: seen.slice(seen.length - Math.min(count - known, seen.length)).map(recordOf) };
    },
    headline: () => {
      settle();
      return totals.headline(Date.now());
    },
    close: () => {
      if (timer) clearInterval(timer);
      return writeInTurn();
    },
  };
}

function readOrSay(folder: string, log: Log): Kept {
  const read = readRecords(folder);
  if (!("fault" in read)) return read;
  log.warn("records.unreadable", { path: recordsPath(folder), error: read.fault });
  return NOTHING_KEPT;
}
