// Passes a request to lemond's own port and its reply back, as they are: unbuffered, with backpressure both ways, under our
// key in place of the client's. Never repeats one, and never looks into a body.
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import { causeOf, type Lemonade } from "../lemonade/lemonade.ts";
import type { Places } from "../lemonade/places.ts";
import { type Entry, keep, leave, within } from "./accepted.ts";
import { DispatchError } from "./errors.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { queryForLemond } from "./query.ts";
import type { LemondClass, LemondPath } from "./routes.ts";

export interface PassthroughDeps {
  readonly lemonade: Pick<Lemonade, "url" | "keyHeaders">;
  /** Places at lemond's port, shared with the slots' requests. */
  readonly places: Places;
  readonly instance: string;
  readonly firstByteTimeoutMs: () => number;
}

/** Where a request goes. */
export interface Destination {
  readonly path: LemondPath;
  readonly class: LemondClass;
}

/** One request as it is passed on; `body` stands for the client's own where it was read here. */
export interface Passing {
  readonly to: Destination;
  readonly request: Request;
  readonly requestId: string;
  readonly entry: Entry;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** Throws DispatchError where lemond gives no reply. */
export type Passthrough = (passing: Passing) => Promise<Response>;

const UPSTREAM = "lemonade";
/** How long a request waits for a place; then 503. */
const HOLD_MS = 180_000;

/** What an operator and a watch ask must not wait behind answers that take minutes. */
const needsNoPlace = ({ class: kind, path }: Destination): boolean => kind !== "read" || path.name === "health";

export function createPassthrough(deps: PassthroughDeps): Passthrough {
  const { lemonade } = deps;

  return async (passing) => {
    const target = lemonade.url + passing.to.path.path;
    try {
      return await exchange(passing, target);
    } catch (error) {
      throw error instanceof DispatchError ? error : unavailable(target, error);
    }
  };

  async function exchange({ to, request, entry, body }: Passing, target: string): Promise<Response> {
    const limit = new AbortController();
    const hangUp = (): void => limit.abort();
    request.signal.addEventListener("abort", hangUp, { once: true });
    // A client may have gone while lemond's models were asked for; its abort does not come again.
    if (request.signal.aborted) hangUp();
    const givePlaceBack = needsNoPlace(to) ? null : await within(entry, placeFor(limit));
    const end = (): void => {
      givePlaceBack?.();
      leave(entry);
    };
    try {
      const response = await within(entry, firstByte(target, request, body, limit));
      const { status } = response;
      const headers = responseHeaders(response.headers);
      const reader = response.body?.getReader();
      if (!reader) return ended(new Response(null, { status, headers }), end);
      keep(entry);
      // A client that leaves before it has read anything may never cancel the body.
      request.signal.addEventListener("abort", end, { once: true });
      return new Response(passed(reader, hangUp, end), { status, headers });
    } catch (error) {
      hangUp();
      end();
      throw error;
    }
  }

  /** Resolves with the function that gives the place back. */
  async function placeFor(limit: AbortController): Promise<() => void> {
    const wait = new AbortController();
    const timer = setTimeout(() => wait.abort(overloaded()), HOLD_MS);
    try {
      return await deps.places.take(AbortSignal.any([limit.signal, wait.signal]));
    } finally {
      clearTimeout(timer);
    }
  }

  async function firstByte(
    target: string,
    request: Request,
    body: Uint8Array<ArrayBuffer> | undefined,
    limit: AbortController,
  ): Promise<Response> {
    const headers = requestHeaders(request.headers, { key: null, wantsStream: false, instance: deps.instance });
    for (const [name, value] of Object.entries(lemonade.keyHeaders)) headers.set(name, value);
    const length = request.headers.get("content-length");
    if (!body && length !== null) headers.set("content-length", length);
    const timeoutMs = deps.firstByteTimeoutMs();
    let isLate = false;
    const late = (): void => {
      isLate = true;
      limit.abort();
    };
    const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : null;
    try {
      const url = target + queryForLemond(request.url);
      const init = { method: request.method, headers, body: body ?? request.body, signal: limit.signal };
      return await fetch(url, { ...init, ...OWN_CONNECTION });
    } catch (error) {
      throw isLate ? timedOut(target, timeoutMs) : error;
    } finally {
      if (timer) clearTimeout(timer);
    }
  }
}

/** Breaks off the client's body where lemond's breaks off. */
function passed(
  reader: { read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: undefined }> },
  hangUp: () => void,
  end: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        end();
      },
      cancel: () => {
        hangUp();
        end();
      },
    },
    { highWaterMark: 0 },
  );
}

function ended(response: Response, end: () => void): Response {
  end();
  return response;
}

function unavailable(target: string, error: unknown): DispatchError {
  const cause = causeOf(error);
  const details = { upstream: UPSTREAM, target, error: "ConnectError", cause };
  return new DispatchError("dispatch.upstream_unavailable", `lemond gave no answer at ${target}: ${cause}.`, details);
}

function timedOut(target: string, timeoutMs: number): DispatchError {
  const timeout_s = timeoutMs / 1000;
  const details = { upstream: UPSTREAM, target, timeout_s };
  return new DispatchError("dispatch.upstream_timeout", `lemond sent no first byte within ${timeout_s} s.`, details);
}

function overloaded(): DispatchError {
  const message = `lemond had no place for this request within ${HOLD_MS / 1000} s; lemonade.max_requests are at it.`;
  return new DispatchError("slot.overloaded", message);
}
