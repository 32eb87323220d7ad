// What the status page and scripts look at: repairs, requests, the log's last lines, and every model with what its load
// would cost. Changes nothing.
import type { FixedRoute } from "./fixed-route.ts";
import type { Log, LogLine } from "../observe/log.ts";
import type { Records } from "../observe/records.ts";
import { typeOfLabels } from "../lemonade/models.ts";
import { findModel } from "../lemonade/names.ts";
import { evictedFor } from "../lemonade/room.ts";
import type { Slots } from "../slots/slots.ts";

export interface SeenDeps {
  readonly slots: Slots;
  readonly records: Records;
  readonly log: Log;
}

/** One model of `GET /api/models`. */
export interface ModelEntry {
  readonly model: string;
  readonly type: string;
  /** The slot that has it. */
  readonly slot: string | null;
  readonly loaded: boolean;
  /** False: a load downloads it first. */
  readonly downloaded: boolean;
  readonly size_gb: number | null;
  /** What lemond unloads when it is loaded. */
  readonly evicts: readonly string[];
}

export function createSeenApi({ slots, records, log }: SeenDeps): FixedRoute[] {
  const models = async (): Promise<ModelEntry[]> => {
    const known = (await slots.models()) ?? [];
    const { listing } = slots.first.known;
    return known.map(({ id, labels, downloaded, size }) => {
      const type = typeOfLabels(labels);
      const loaded = findModel(listing?.loaded ?? [], id, ({ model }) => model);
      return {
        model: id,
        type,
        slot: findModel(slots.all(), id, ({ model }) => model)?.name ?? null,
        loaded: loaded !== undefined,
        downloaded: downloaded !== false,
        size_gb: typeof size === "number" ? size : null,
        evicts: loaded ? [] : evictedFor(listing, id, type),
      };
    });
  };

  return [
    { method: "GET", path: "/api/repairs", handler: () => Response.json(records.repairs()) },
    { method: "GET", path: "/api/requests", handler: () => Response.json(records.requests()) },
    { method: "GET", path: "/api/models", handler: async () => Response.json(await models()) },
    {
      method: "GET",
      path: "/api/log",
      handler: (request) => {
        const id = new URL(request.url).searchParams.get("request_id");
        const isAsked = (line: LogLine): boolean => id === null || line["request_id"] === id;
        return Response.json(log.after(0).lines.filter(isAsked));
      },
    },
  ];
}
