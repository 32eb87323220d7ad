// Gives a streamed reply to the client, whole SSE events or lines only, and ends exactly once. While it waits for a reply, or for the
// rest of one that was cut, the client gets what the wait gives. Never decodes, splits or joins by content.
import type { Ended, Read, Source } from "./attempt.ts";
import type { Begun } from "./beginning.ts";
import { createCutter, type Framing, joined } from "./sse.ts";
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
  readonly start: Pending;
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

const BLANK_LINE = new Uint8Array([10, 10]);

/** The body for the client, pulled with backpressure (`highWaterMark: 0`): a client that stops reading stops the upstream. */
export function relay({ start, framing, interruption, resume, seen, onEnd }: RelayOptions): ReadableStream<Uint8Array> {
  let pending: Pending | null = start;
  let source: Source | null = null;
  let cutter = createCutter(framing);
  let isOver = false;

  const end = (how: RelayEnd): void => {
    if (isOver) return;
    isOver = true;
    onEnd(how);
  };

  const close = (controller: Controller, last: Uint8Array, how: RelayEnd): true => {
    if (last.length > 0) controller.enqueue(last);
    controller.close();
    end(how);
    return true;
  };

  const pass = (bytes: Uint8Array, controller: Controller): boolean => {
    const whole = cutter.whole(bytes);
    if (whole.length === 0) return false;
    seen?.(whole);
    controller.enqueue(whole);
    return true;
  };

  /** True when there is nothing more to do in this pull, like the two below. */
  const breakOff = (how: Ended, controller: Controller): boolean => {
    if (framing === "none") {
      // This body cannot carry an error: the client must see its connection fail.
      controller.error(new Error(how.kind));
      end(how);
      return true;
    }
    if (cutter.isInside) return close(controller, joined([BLANK_LINE, interruption(how)]), how);
    cutter = createCutter(framing);
    pending = framing === "sse" ? (resume?.(how) ?? null) : null;
    return pending ? false : close(controller, interruption(how), how);
  };

  const take = (read: Read, controller: Controller): boolean => {
    switch (read.kind) {
      case "bytes":
        return pass(read.bytes, controller);
      case "end":
        return close(controller, cutter.rest, { kind: "complete" });
      case "client-gone":
        return close(controller, new Uint8Array(), read);
      case "lost":
      case "timeout":
        return breakOff(read, controller);
    }
  };

  const begin = async (waiting: Pending, controller: Controller): Promise<boolean> => {
    const step = await waiting.step();
    if (isOver) return true;
    if ("bytes" in step) {
      controller.enqueue(step.bytes);
      return true;
    }
    pending = null;
    if ("last" in step.value) return close(controller, step.value.last, step.value.end);
    source = step.value.source;
    return pass(step.value.first, controller);
  };

  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        // Half an event waits for its rest. One await a chunk: another function with one would cost each chunk a microsecond.
        while (!isOver) {
          const isDone = pending
            ? await begin(pending, controller)
            : source === null || take(await source.read(), controller);
          if (isDone) return;
        }
      },
      cancel: () => {
        const gone = { kind: "client-gone" } as const;
        pending?.leave();
        source?.cut(gone);
        end(gone);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A reply that is there already. */
export function ready(begun: Begun): Pending {
  return {
    step: async () => ({ value: begun }),
    leave: () => begun.source.cut({ kind: "client-gone" }),
  };
}
