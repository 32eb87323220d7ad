// What is read of a reply before any of it goes to the client: the first whole event of a stream, all of a plain reply.
// While that lasts the attempt can still be repeated.
import type { Ended, Source } from "./attempt.ts";
import { endOfWhole, type Framing, isComments, joined, MOST_EVENT_BYTES } from "./sse.ts";

/** The bytes read so far, and where the rest comes from. */
export interface Begun {
  readonly first: Uint8Array;
  readonly source: Source;
}

/**
 * Reads on until the first whole SSE event or line, the first bytes of any other stream, or the end. Comments before that event go
 * to `onComment`, where there is one; else they count as the first event.
 */
export async function readFirst(
  source: Source,
  framing: Framing,
  onComment?: (bytes: Uint8Array) => void,
): Promise<Begun | Ended> {
  let first: Uint8Array = new Uint8Array();
  for (;;) {
    const read = await source.read();
    if (read.kind === "end") return { first, source };
    if (read.kind !== "bytes") return read;
    const known = first.length;
    first = known === 0 ? read.bytes : joined([first, read.bytes]);
    if (framing === "none" || first.length > MOST_EVENT_BYTES) return { first, source };
    const whole = endOfWhole(framing, first, known);
    if (whole === 0) continue;
    if (framing !== "sse" || !onComment || !isComments(first.subarray(0, whole))) return { first, source };
    onComment(first.subarray(0, whole));
    first = first.subarray(whole);
  }
}

/** The whole body, or only its beginning if it is larger than `maxBytes`. */
export async function readWhole(
  source: Source,
  maxBytes: number,
): Promise<{ readonly body: Uint8Array } | Begun | Ended> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const read = await source.read();
    if (read.kind === "end") return { body: joined(chunks) };
    if (read.kind !== "bytes") return read;
    chunks.push(read.bytes);
    bytes += read.bytes.length;
    if (bytes > maxBytes) return { first: chunks.shift() ?? read.bytes, source: after(chunks, source) };
  }
}

/** What was read already, then the rest. To join it first would take its memory twice. */
function after(chunks: Uint8Array[], source: Source): Source {
  return {
    cut: source.cut,
    read: async () => {
      const bytes = chunks.shift();
      return bytes ? { kind: "bytes", bytes } : source.read();
    },
  };
}
