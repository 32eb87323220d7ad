// The source of a new stream as the rest of a cut one: whole events are turned as they come, the seam is marked once.
import type { Read, Source } from "./attempt.ts";
import type { Begun } from "./beginning.ts";
import { createCutter, wholeOf } from "./sse.ts";
import { type Seam, SEAM, splice } from "./splice.ts";

export function splicedFrom({ first, source }: Begun, seam: Seam): Begun {
  const cutter = createCutter("sse");
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  const turned = (bytes: Uint8Array): Uint8Array =>
    encoder.encode(splice(decoder.decode(wholeOf(cutter, bytes)), seam));

  const read = async (): Promise<Read> => {
    for (;;) {
      const next = await source.read();
      if (next.kind !== "bytes") return next;
      const bytes = turned(next.bytes);
      if (bytes.length > 0) return { kind: "bytes", bytes };
    }
  };
  const spliced: Source = { read, cut: source.cut };
  const begin = turned(first);
  return { first: Buffer.concat([encoder.encode(SEAM), begin]), source: spliced };
}
