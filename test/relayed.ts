// Steps of the relay's tests: a scripted source, and the relay run on it to its end.
import type { Ended, Read, Source } from "../src/dispatch/attempt.ts";
import { readFirst } from "../src/dispatch/beginning.ts";
import { relay, type RelayEnd } from "../src/dispatch/relay.ts";
import type { Framing } from "../src/dispatch/sse.ts";

export const INTERRUPTION = 'data: {"error":{"code":"dispatch.stream_interrupted"}}\n\n';

export function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) all.push(bytes.subarray(at, at + size));
  return all;
}

/** Gives the pieces, then `last` for ever. */
export function sourceOf(chunks: readonly Uint8Array[], last: Read = { kind: "end" }) {
  const left = [...chunks];
  const source = {
    reads: 0,
    cuts: [] as Ended[],
    read: async (): Promise<Read> => {
      source.reads++;
      const bytes = left.shift();
      return bytes ? { kind: "bytes", bytes } : last;
    },
    cut: (ended: Ended): void => void source.cuts.push(ended),
  };
  return source;
}

export interface Seen {
  readonly steps: readonly Uint8Array[];
  readonly text: string;
  readonly hasFailed: boolean;
  readonly ends: readonly RelayEnd[];
}

export function start(first: Uint8Array, source: Source, framing: Framing) {
  const ends: RelayEnd[] = [];
  const body = relay({
    start: { first, source },
    framing,
    interruption: () => Buffer.from(INTERRUPTION),
    onEnd: (end) => ends.push(end),
  });
  return { ends, reader: body.getReader() };
}

export async function relayed(first: Uint8Array, source: Source, framing: Framing = "sse"): Promise<Seen> {
  const { ends, reader } = start(first, source, framing);
  const steps: Uint8Array[] = [];
  let hasFailed = false;
  for (;;) {
    const step = await reader.read().catch(() => null);
    hasFailed = step === null;
    if (step === null || step.done) break;
    steps.push(step.value);
  }
  return { steps, text: Buffer.concat(steps).toString("latin1"), hasFailed, ends };
}

/** What is read before the client gets anything; how it ended where nothing can be passed on. */
export async function firstOf(source: Source, framing: Framing): Promise<Uint8Array | Ended> {
  const begun = await readFirst(source, framing);
  return "first" in begun ? begun.first : begun;
}

/** From the first read of a reply to the last byte at the client; null where the loss came before the first event. */
export async function throughBoth(chunks: readonly Uint8Array[], last: Read): Promise<Seen | null> {
  const source = sourceOf(chunks, last);
  const first = await firstOf(source, "sse");
  return first instanceof Uint8Array ? relayed(first, source) : null;
}

export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
