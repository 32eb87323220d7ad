// One reader of the event feed: what it has still to be told, and the bytes it takes at its own pace.
// For a reader that does not read, it keeps only the newest of each thing.
import { Stream } from "@elysiajs/stream";

export interface Reader {
  readonly body: ReadableStream<Uint8Array>;
  /** Replaces what is still untold under the same key. */
  tell(key: string, event: string, data: object): void;
  /** A comment: finds a dead connection, and shows the reader that the feed lives. */
  beat(): void;
  /** Ends the feed for this reader. Idempotent. */
  end(): void;
}

/** A reader that reads never has more than this untold. */
const MOST_UNTOLD = 1000;
const COMMENT = new TextEncoder().encode(":\n\n");

/** `signal`, not yet given, ends the feed; `onEnd` is called once, however the reader goes. */
export function createReader(signal: AbortSignal, onEnd: () => void): Reader {
  const stream = new Stream<Uint8Array>();
  const source = stream.value.getReader();
  const untold = new Map<string, { readonly event: string; readonly data: object }>();
  /** Queued in the Stream (no limit of its own): more is added only at 0. */
  let queued = 0;
  let isOver = false;

  const flush = (): void => {
    for (const { event, data } of untold.values()) {
      stream.event = event;
      stream.send(data);
      queued++;
    }
    untold.clear();
  };

  const end = (): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", end);
    untold.clear();
    stream.close();
    onEnd();
  };

  // A client that leaves before it has read anything may never cancel the body (Bun 1.4.5).
  signal.addEventListener("abort", end);

  return {
    // Around the Stream, whose own body rejects when it is cancelled and takes in whatever it is sent (version 1.1.0).
    body: new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await source.read();
          if (done) return controller.close();
          queued--;
          controller.enqueue(value);
          if (queued === 0 && !isOver) flush();
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    ),
    tell: (key, event, data) => {
      if (isOver) return;
      untold.set(key, { event, data });
      if (queued === 0) flush();
      else if (untold.size > MOST_UNTOLD) end();
    },
    beat: () => {
      if (isOver || queued > 0) return;
      stream.event = undefined;
      stream.send(COMMENT);
      queued++;
    },
    end,
  };
}
