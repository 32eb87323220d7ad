// What comes for lemond itself: which of it acts on slots, which knows their names, and what goes on as it is. Tells of each.
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Slots } from "../slots/slots.ts";
import type { PassToLemond } from "./app.ts";
import { DispatchError } from "./errors.ts";
import { show, tags } from "./ollama-lists.ts";
import { createOrders, createSlotNamed, isOrder } from "./orders.ts";
import type { Passing, Passthrough } from "./passthrough.ts";

export interface LemondDeps {
  readonly slots: Slots;
  readonly passthrough: Passthrough;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** nginx's number for a client that left; nobody is there to read it. */
const CLIENT_GONE = 499;

export function createPassToLemond({ slots, passthrough, log, metrics, now }: LemondDeps): PassToLemond {
  const slotNamed = createSlotNamed(slots);
  const orders = createOrders(slots, slotNamed, passthrough);

  const answer = (passing: Passing): Promise<Response> => {
    const { name } = passing.to.path;
    if (isOrder(passing)) return orders(passing);
    if (name === "api/tags") return tags(passing, slots, passthrough);
    if (name === "api/show") return show(passing, slotNamed, passthrough);
    return passthrough(passing);
  };

  return async (to, request, requestId, entry) => {
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
}
