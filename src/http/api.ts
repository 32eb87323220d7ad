// The routes that this server answers itself: life, health, the model list, and the slots with their operator's actions.
import * as v from "valibot";
import { stopping, within } from "./accepted.ts";
import { isTold } from "./admission.ts";
import type { FixedRoute, Handler } from "./fixed-route.ts";
import { readBody } from "./body.ts";
import type { Config } from "../config/config.ts";
import { DispatchError } from "./errors.ts";
import { FEED_SILENCE_S, type Events, type Status } from "./feed.ts";
import type { Metrics } from "../observe/metrics.ts";
import { readmeText, statusPage } from "../page/page.ts";
import { availableNames } from "../dispatch/resolve.ts";
import { findModel } from "../lemonade/names.ts";
import { API_PREFIXES } from "./routes.ts";
import type { Action } from "../slots/known.ts";
import type { Slot } from "../slots/slot.ts";
import type { Slots } from "../slots/slots.ts";
import { snapshot } from "../slots/snapshot.ts";

export interface ApiDeps {
  readonly config: () => Config;
  readonly version: string;
  readonly slots: Slots;
  readonly lemonade: () => Status["lemonade"];
  readonly lemonades: () => Status["lemonades"];
  readonly events: Events;
  readonly isDraining: () => boolean;
  readonly scrape: () => ReturnType<Metrics["scrape"]>;
}

const ACTION_BODY_BYTES = 64 * 1024;

export function createApi(deps: ApiDeps): FixedRoute[] {
  const names = () => deps.slots.names(deps.config().upstreams);
  const startedS = Math.floor(Date.now() / 1000);

  const slotNamed = (name: string | undefined): Slot => {
    const slot = deps.slots.get(name ?? "");
    if (slot) return slot;
    const shown = (name ?? "").slice(0, 200);
    throw new DispatchError("slot.not_found", `There is no slot ${shown}.`, { slot: shown });
  };

  const health: Handler = (request) => {
    const status = deps.isDraining() ? "draining" : "ok";
    const lemonade = deps.lemonade();
    const slots = deps.slots.all().map(({ name, record }) => ({ name, model: record.model, state: record.state }));
    const body = isTold(request.headers, deps.config().server)
      ? {
          status,
          version: deps.version,
          lemonade: { ...lemonade, up: lemonade.up === true },
          lemonades: deps.lemonades(),
          slots,
        }
      : { status };
    return Response.json(body, {
      status: deps.isDraining() ? 503 : 200,
      headers: deps.isDraining() ? { "retry-after": "1" } : {},
    });
  };

  /** OpenAI's model objects; of a model of lemond's, and of a slot's or an alias's, what lemond says of it is kept. */
  const models = async (showAll = false): Promise<{ id: string }[]> => {
    const all = showAll ? await deps.slots.first.lemonade.models(true) : null;
    const known = all ?? (await deps.slots.models()) ?? [];
    const modelOf = new Map(
      deps.slots.all().flatMap(({ name, aliases, model }) => [name, ...aliases].map((own) => [own, model])),
    );
    const ids = new Set([...availableNames(names()), ...(all ?? []).map(({ id }) => id)]);
    return [...ids].map((id) => ({
      ...findModel(known, modelOf.get(id) ?? id, (model) => model.id),
      id,
      object: "model",
      created: startedS,
      owned_by: "hal0-dispatch",
    }));
  };

  /** A model that lemond could load has a slot as soon as its load is asked for. */
  const makeSlot = async (model = ""): Promise<void> => {
    if (deps.slots.get(model) || !deps.config().lemonade.autoSlots) return;
    if ((await deps.slots.models())?.some(({ id }) => id === model)) deps.slots.ofModel(model);
  };

  const act = (action: Action): FixedRoute => ({
    method: "POST",
    path: `/api/slots/:name/${action}`,
    handler: async (request, { name }, entry) => {
      if (deps.isDraining()) throw stopping();
      if (action === "load") await within(entry, makeSlot(name));
      slotNamed(name);
      const model = action === "swap" ? await within(entry, readModel(request)) : null;
      // A reload may have taken the slot away, or put another in its place, while the body came in.
      const slot = slotNamed(name);
      if (model !== null) refuseOwned(model, slot);
      // In the same tick as the look above: two swaps at once must not end with one model.
      await within(entry, slot.order(action, model ?? slot.model));
      return Response.json(snapshot(slot));
    },
  });

  const refuseOwned = (model: string, slot: Slot): void => {
    const owner = deps.slots.ownerOf(slot, model);
    if (owner && owner !== slot)
      throw new DispatchError("request.invalid", `model: slot ${owner.name} has this model already.`, {
        path: "model",
      });
  };

  return [
    { method: "GET", path: "/live", access: "open", handler: () => Response.json({ status: "ok" }) },
    { method: "GET", path: "/health", access: "open", handler: health },
    ...API_PREFIXES.flatMap((prefix): FixedRoute[] => [
      {
        method: "GET",
        path: `${prefix}/models`,
        handler: async ({ url }) => {
          const showAll = new URL(url).searchParams.get("show_all") === "true";
          return Response.json({ object: "list", data: await models(showAll) });
        },
      },
      {
        method: "GET",
        // A model's name may have slashes in it: `openai/gpt-4o`.
        path: `${prefix}/models/*`,
        isLemonds: (rest) => /\/(?:files|options)$/.test(rest),
        handler: async (_, params) => {
          const id = decoded(params["*"] ?? "");
          const model = (await models()).find((model) => model.id === id);
          if (model) return Response.json(model);
          const available = availableNames(names()).slice(0, 100);
          throw new DispatchError("dispatch.no_route", `There is no model ${id.slice(0, 200)}.`, {
            model: id.slice(0, 200),
            available,
          });
        },
      },
    ]),
    {
      method: "GET",
      path: "/metrics",
      handler: async () => {
        const { text, contentType } = await deps.scrape();
        return new Response(text, { headers: { "content-type": contentType } });
      },
    },
    // Without a key: a browser that opens the page cannot send one. It holds no data, and asks for the key itself.
    { method: "GET", path: "/", access: "open", handler: statusPage() },
    { method: "GET", path: "/README.md", access: "open", handler: readmeText() },
    {
      method: "GET",
      path: "/api/slots/events",
      handler: (request) => deps.events.open(request),
      silenceS: FEED_SILENCE_S,
    },
    { method: "GET", path: "/api/slots", handler: () => Response.json(deps.slots.all().map(snapshot)) },
    {
      method: "GET",
      path: "/api/slots/:name",
      handler: (_, { name }) => Response.json(snapshot(slotNamed(name))),
    },
    act("load"),
    act("unload"),
    act("restart"),
    act("swap"),
  ];
}

async function readModel(request: Request): Promise<string> {
  const text = new TextDecoder().decode(await readBody(request, ACTION_BODY_BYTES));
  const Body = v.pipe(v.string(), v.parseJson(), v.object({ model: v.pipe(v.string(), v.minLength(1)) }));
  const parsed = v.safeParse(Body, text);
  if (parsed.success) return parsed.output.model;
  throw new DispatchError("request.invalid", 'model: expected the name of a model, as in {"model": "…"}.', {
    path: "model",
  });
}

/** Elysia leaves a wildcard as it stands in the URL. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // Not an encoding: then it is a name that nobody has.
  }
}
