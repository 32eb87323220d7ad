// Gives a streamed reply to the client, whole SSE events or lines only, and ends exactly once. While it waits for a reply, or for the
// rest of one that was cut, the client gets what the wait gives. Never decodes, splits or joins by content.
import type { Ended, Read, Source } from "./attempt.ts";
import type { Begun } from "./beginning.ts";
import { createCutter, type Cutter, type Framing, joined, wholeOf } from "./sse.ts";
import type { WaitStep } from "./wait.ts";

/** How a relay ended: the reply was complete, or the way in which the attempt ended. */
export type RelayEnd = Ended | { readonly kind: "complete" };

/** What the relay goes on with: a reply's body, or the last bytes and how it ended. */
export type Next = Begun | { readonly last: Uint8Array; readonly end: RelayEnd };

/** Where a relay gets what comes next. `leave`: the client has gone, and no further step will be taken. */
export interface Pending {
  step(): Promise<WaitStep<Next>>;
  leave(): void;
}

export interface RelayOptions {
  /** A reply that is there already, or a wait for one. */
  readonly start: Begun | Pending;
  readonly framing: Framing;
  /** The bytes that end a broken stream of events or lines. */
  readonly interruption: (how: Ended) => Uint8Array;
  /** Where the rest of a lost stream comes from; null if it cannot go on. */
  readonly resume?: (lost: Ended) => Pending | null;
  /** Sees the bytes of the reply that have gone to the client. */
  readonly seen?: ((bytes: Uint8Array) => void) | undefined;
  /** Called once. */
  readonly onEnd: (end: RelayEnd) => void;
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

interface Relaying {
  readonly options: RelayOptions;
  /** Where the next bytes come from: the wait, else the source behind `first`. */
  pending: Pending | null;
  first: Uint8Array | null;
  source: Source | null;
  cutter: Cutter;
  isOver: boolean;
}

const BLANK_LINE = new Uint8Array([10, 10]);
const CLIENT_GONE = { kind: "client-gone" } as const;

/** The body for the client, pulled with backpressure (`highWaterMark: 0`): a client that stops reading stops the upstream. */
export function relay(options: RelayOptions): ReadableStream<Uint8Array> {
  const { start, framing } = options;
  const cutter = createCutter(framing);
  const relaying: Relaying =
    "step" in start
      ? { options, pending: start, first: null, source: null, cutter, isOver: false }
      : { options, pending: null, first: start.first, source: start.source, cutter, isOver: false };
  return new ReadableStream<Uint8Array>(
    { pull: (controller) => pull(relaying, controller), cancel: () => cancel(relaying) },
    { highWaterMark: 0 },
  );
}

/** Half an event waits for its rest. One await a chunk: another function with one would cost each chunk a microsecond. */
async function pull(relaying: Relaying, controller: Controller): Promise<void> {
  const { first } = relaying;
  relaying.first = null;
  if (first && pass(relaying, first, controller)) return;
  while (!relaying.isOver) {
    const { pending, source } = relaying;
    const isDone = pending
      ? await begin(relaying, pending, controller)
      : source === null || take(relaying, await source.read(), controller);
    if (isDone) return;
  }
}

function cancel(relaying: Relaying): void {
  relaying.pending?.leave();
  relaying.source?.cut(CLIENT_GONE);
  end(relaying, CLIENT_GONE);
}

function end(relaying: Relaying, how: RelayEnd): void {
  if (relaying.isOver) return;
  relaying.isOver = true;
  relaying.options.onEnd(how);
}

/** True when there is nothing more to do in this pull, like those below. */
function close(relaying: Relaying, controller: Controller, last: Uint8Array, how: RelayEnd): true {
  if (last.length > 0) controller.enqueue(last);
  controller.close();
  end(relaying, how);
  return true;
}

function pass({ cutter, options }: Relaying, bytes: Uint8Array, controller: Controller): boolean {
  const whole = wholeOf(cutter, bytes);
  if (whole.length === 0) return false;
  options.seen?.(whole);
  controller.enqueue(whole);
  return true;
}

async function begin(relaying: Relaying, waiting: Pending, controller: Controller): Promise<boolean> {
  const step = await waiting.step();
  if (relaying.isOver) return true;
  if ("bytes" in step) {
    controller.enqueue(step.bytes);
    return true;
  }
  relaying.pending = null;
  if ("last" in step.value) return close(relaying, controller, step.value.last, step.value.end);
  relaying.source = step.value.source;
  return pass(relaying, step.value.first, controller);
}

function take(relaying: Relaying, read: Read, controller: Controller): boolean {
  switch (read.kind) {
    case "bytes":
      return pass(relaying, read.bytes, controller);
    case "end":
      return close(relaying, controller, relaying.cutter.rest, { kind: "complete" });
    case "client-gone":
      return close(relaying, controller, new Uint8Array(), read);
    case "lost":
    case "timeout":
      return breakOff(relaying, read, controller);
  }
}

function breakOff(relaying: Relaying, how: Ended, controller: Controller): boolean {
  const { framing, interruption, resume } = relaying.options;
  if (framing === "none") {
    // This body cannot carry an error: the client must see its connection fail.
    controller.error(new Error(how.kind));
    end(relaying, how);
    return true;
  }
  if (relaying.cutter.isInside) return close(relaying, controller, joined([BLANK_LINE, interruption(how)]), how);
  relaying.cutter = createCutter(framing);
  relaying.pending = framing === "sse" ? (resume?.(how) ?? null) : null;
  return relaying.pending ? false : close(relaying, controller, interruption(how), how);
}
