// Requests for lemond itself: which act on slots, which know slots' names, and which pass as they are. Logs and counts each.
import type { Config } from "../config/config.ts";
import { createSockets, type Sockets } from "../dispatch/sockets.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Slots } from "../slots/slots.ts";
import type { Entry } from "./accepted.ts";
import { DispatchError } from "./errors.ts";
import { show, tags } from "./ollama-lists.ts";
import { createOrders, createSlotNamed, isOrder } from "./orders.ts";
import { createPassthrough, type Destination, type Passing } from "./passthrough.ts";

export interface LemondDeps {
  readonly config: () => Config;
  readonly slots: Slots;
  readonly instance: string;
  readonly firstByteTimeoutMs: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** Passes a request to lemond itself. Throws DispatchError. */
export type PassToLemond = (to: Destination, request: Request, requestId: string, entry: Entry) => Promise<Response>;

export interface LemondDoor {
  readonly pass: PassToLemond;
  readonly sockets: Sockets;
}

/** nginx's number for a client that left; nobody is there to read it. */
const CLIENT_GONE = 499;

export function createLemondDoor(deps: LemondDeps): LemondDoor {
  const { slots, config, log, metrics, now } = deps;
  const { lemonade, places } = slots.first;
  const slotNamed = createSlotNamed(slots);
  const passthrough = createPassthrough({ ...deps, lemonade, places });
  const orders = createOrders(slots, slotNamed, passthrough);
  const sockets = createSockets({
    ...deps,
    lemonade,
    modelAtLemond: async (name) => (await slotNamed(name))?.model ?? null,
    keys: () => [...config().server.apiKeys, ...config().server.adminKeys],
  });

  const answer = (passing: Passing): Promise<Response> => {
    const { name } = passing.to.path;
    if (isOrder(passing)) return orders(passing);
    if (name === "api/tags") return tags(passing, slots, passthrough);
    if (name === "api/show") return show(passing, slotNamed, passthrough);
    return passthrough(passing);
  };

  const pass: PassToLemond = async (to, request, requestId, entry) => {
    const startedMs = now();
    const tell = (status: number, upstream = "lemonade"): void => {
      metrics.requestEnded(upstream, to.class, status);
      const target = slots.first.lemonade.url + to.path.path;
      const fields = { request_id: requestId, route: to.class, upstream, target, status };
      // Reads come every second from some clients.
      const write = to.class === "read" ? log.debug : log.info;
      write("dispatch.decision", { ...fields, took_ms: Math.round(now() - startedMs) });
    };
    try {
      const response = await answer({ to, request, requestId, entry });
      response.headers.set("x-request-id", requestId);
      tell(response.status, response.headers.get("x-hal0-upstream") ?? undefined);
      return response;
    } catch (error) {
      if (request.signal.aborted) {
        tell(CLIENT_GONE);
        return new Response(null, { status: CLIENT_GONE });
      }
      tell(error instanceof DispatchError ? error.status : 500);
      throw error;
    }
  };

  return { pass, sockets };
}
