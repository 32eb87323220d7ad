// A body of which some bytes are replaced, without a copy of the rest. Pure.

/** A run of bytes that is replaced. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A body in pieces, in their order. */
export type Pieces = readonly Uint8Array<ArrayBuffer>[];

/** `edits` in their order; the unchanged pieces are views of `body`. */
export function spliced(body: Uint8Array<ArrayBuffer>, edits: readonly Edit[]): Pieces {
  const ends = [0, ...edits.map(({ to }) => to)];
  const pieces = edits.flatMap(({ from, bytes }, at) => [body.subarray(ends[at], from), bytes]);
  return [...pieces, body.subarray(ends.at(-1))].filter(({ length }) => length > 0);
}
