// How a request's body goes to an upstream, and how its memory is given back. Measured with Bun 1.4.5.
import type { Call } from "./call.ts";

/** Up to here a body goes out as it is: a stream costs 75 µs more. */
const LARGE_BYTES = 64 * 1024;
const PIECE_BYTES = 256 * 1024;

/** fetch keeps the bytes that it was given until the reply is over, however long a stream runs; a stream it lets go of. */
const goesAsStream = ({ body, wantsStream }: Call): boolean =>
  body !== null && wantsStream && body.length > LARGE_BYTES;

/** What `fetch` is given for one attempt. A stream keeps the length that the client announced. */
export function upload(call: Call): { body: Uint8Array<ArrayBuffer> | ReadableStream | null; headers: Headers } {
  const { body, headers } = call;
  if (body === null || !goesAsStream(call)) return { body, headers };
  headers.set("content-length", String(body.length));
  return { body: piecesOf(body), headers };
}

/** No attempt follows. The bytes are given back at once: the collector left 80 MB lying until the streams ended. */
export function letGoOfBody(call: Call): void {
  if (goesAsStream(call)) call.body?.buffer.transfer(0);
  call.body = null;
}

function piecesOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream(
    {
      pull: (controller) => {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.subarray(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
      },
    },
    { highWaterMark: 0 },
  );
}
