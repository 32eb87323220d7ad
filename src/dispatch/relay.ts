// Gives the rest of a streamed reply to the client, whole SSE events only, and ends exactly once.
// Never decodes, splits or joins by content; knows nothing of slots.
import type { Ended, Read, Source } from "./attempt.ts";
import { endOfEvents, joined, MOST_EVENT_BYTES } from "./sse.ts";

/** How a relay ended: the reply was complete, or the way in which the attempt ended. */
export type RelayEnd = Ended | { readonly kind: "complete" };

export interface RelayOptions {
  readonly first: Uint8Array;
  readonly source: Source;
  readonly isSse: boolean;
  /** The bytes that end a broken SSE stream. */
  readonly interruption: () => Uint8Array;
  /** Called once. */
  readonly onEnd: (end: RelayEnd) => void;
}

const BLANK_LINE = new Uint8Array([10, 10]);

/** The body for the client, pulled with backpressure (`highWaterMark: 0`): a client that stops reading stops the upstream. */
export function relay({ first, source, isSse, interruption, onEnd }: RelayOptions): ReadableStream<Uint8Array> {
  let head: Uint8Array | null = first;
  let tail: Uint8Array = new Uint8Array();
  let passedHalfAnEvent = false;
  let isOver = false;

  const end = (how: RelayEnd): void => {
    if (isOver) return;
    isOver = true;
    onEnd(how);
  };

  /** Of what has come: what may go to the client now. */
  const passable = (bytes: Uint8Array): Uint8Array => {
    if (!isSse) return bytes;
    const all = tail.length > 0 ? joined([tail, bytes]) : bytes;
    const whole = endOfEvents(all, tail.length);
    if (all.length - whole > MOST_EVENT_BYTES) {
      tail = new Uint8Array();
      passedHalfAnEvent = true;
      return all;
    }
    if (whole > 0) passedHalfAnEvent = false;
    tail = all.subarray(whole);
    return whole === all.length ? all : all.subarray(0, whole);
  };

  /** True when there is nothing more to read in this pull. */
  const take = (read: Read, controller: ReadableStreamDefaultController<Uint8Array>): boolean => {
    switch (read.kind) {
      case "bytes": {
        const bytes = passable(read.bytes);
        if (bytes.length > 0) controller.enqueue(bytes);
        return bytes.length > 0;
      }
      case "end":
        if (tail.length > 0) controller.enqueue(tail);
        controller.close();
        end({ kind: "complete" });
        return true;
      case "client-gone":
        controller.close();
        end(read);
        return true;
      case "lost":
      case "timeout":
        if (isSse) {
          if (passedHalfAnEvent) controller.enqueue(BLANK_LINE);
          controller.enqueue(interruption());
          controller.close();
        } else {
          // There is no way to say it in this body: the client must see its transport fail.
          controller.error(new Error(read.kind));
        }
        end(read);
        return true;
    }
  };

  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        if (head) {
          const bytes = passable(head);
          head = null;
          if (bytes.length > 0) return controller.enqueue(bytes);
        }
        while (!isOver && !take(await source.read(), controller)) {
          // Half an event waits for its rest.
        }
      },
      cancel: () => {
        const gone = { kind: "client-gone" } as const;
        source.cut(gone);
        end(gone);
      },
    },
    { highWaterMark: 0 },
  );
}
