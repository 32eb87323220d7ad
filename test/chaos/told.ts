// What the server's log says of single requests, kept until they are judged, and what it says of faults of its own.
import type { REMOTE, SlotName } from "./plan.ts";

export interface Told {
  readonly fellBackTo: SlotName | typeof REMOTE | null;
  readonly isContinued: boolean;
  readonly interrupted: boolean;
  /** Why a stream that broke off did not go on; null where nothing is said of it. */
  readonly notContinued: string | null;
}

const NOTHING: Told = { fellBackTo: null, isContinued: false, interrupted: false, notContinued: null };
const FAULTS = new Set(["server.internal", "slot.transition_illegal"]);
/** Whoever has left does not ask what was said of its request. */
const MOST = 2000;
/** Of some 20 s. */
const MOST_LINES = 10_000;

export interface Logged {
  readonly atMs: number;
  readonly text: string;
}

export type LogReader = ReturnType<typeof createLogReader>;

export function createLogReader() {
  const faults: string[] = [];
  const touches = new Map<string, number>();
  const told = new Map<string, Told>();
  const recent: { readonly entry: Readonly<Record<string, unknown>>; readonly line: string }[] = [];
  const waiting = new Map<string, ((url: string) => void)[]>();

  const note = (id: unknown, more: Partial<Told>): void => {
    const key = String(id);
    told.set(key, { ...(told.get(key) ?? NOTHING), ...more });
    const [oldest] = told.keys();
    if (told.size > MOST && oldest !== undefined) told.delete(oldest);
  };

  return {
    faults,
    touches: (model: string): number => touches.get(model) ?? 0,
    told: (requestId: string | null): Told => told.get(requestId ?? "") ?? NOTHING,
    /** The latest lines of that request, of slots with these names and of lemond, without the answers to other requests. */
    logged: (fromMs: number, requestId: string | null, names: readonly string[]): Logged[] =>
      recent
        .map(({ entry, line }) => ({ entry, atMs: Date.parse(`${entry["ts"]}`), text: line }))
        .filter(({ atMs }) => atMs >= fromMs)
        .filter(
          ({ entry }) =>
            entry["request_id"] === requestId ||
            (entry["event"] !== "dispatch.decision" &&
              (names.includes(`${entry["slot"] ?? entry["upstream"]}`) || `${entry["event"]}`.startsWith("lemonade."))),
        ),
    /** Resolves with the next such line's `url`, if it has one. */
    next: (event: string): Promise<string> =>
      new Promise((resolve) => void waiting.set(event, [...(waiting.get(event) ?? []), resolve])),
    take: (line: string): void => {
      const entry = parsed(line);
      if (!entry) return void faults.push(`stdout: ${line}`);
      recent.push({ entry, line });
      if (recent.length > 2 * MOST_LINES) recent.splice(0, MOST_LINES);
      const { event, request_id: id } = entry;
      if (typeof event !== "string") return void faults.push(`stdout: ${line}`);
      if (FAULTS.has(event)) faults.push(line);
      if (event === "lemonade.touch") touches.set(`${entry["model"]}`, (touches.get(`${entry["model"]}`) ?? 0) + 1);
      if (event === "dispatch.fell_back") note(id, { fellBackTo: entry["upstream"] as Told["fellBackTo"] });
      if (event === "dispatch.stream_continued") note(id, { isContinued: true });
      if (event === "dispatch.stream_interrupted")
        note(id, { interrupted: true, notContinued: (entry["not_continued"] as string | undefined) ?? null });
      for (const resolve of waiting.get(event) ?? []) resolve(`${entry["url"]}`);
      waiting.delete(event);
    },
  };
}

function parsed(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // Not JSON: the caller says so.
  }
}
