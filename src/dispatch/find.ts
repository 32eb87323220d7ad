// Finds the upstream that a client's `model` means, asking lemond for its models where the name is not known yet.
import type { Config } from "../config/config.ts";
import { DispatchError } from "../http/errors.ts";
import type { Lemonade } from "../lemonade/lemonade.ts";
import type { Slot } from "../slots/slot.ts";
import type { Slots } from "../slots/slots.ts";
import type { Remote } from "./remote.ts";
import type { Remotes } from "./remotes.ts";
import { availableNames, type Names, type Resolution, type Resolved, resolve } from "./resolve.ts";

export interface FindDeps {
  readonly config: () => Config;
  readonly slots: Slots;
  readonly remotes: Pick<Remotes, "get">;
  readonly lemonade: Pick<Lemonade, "url" | "modelsFault">;
}

export type Upstream = Slot | Remote;

export const isSlot = (upstream: Upstream): upstream is Slot => "record" in upstream;

const NAMES_SHOWN = 100;

/** The function throws DispatchError `dispatch.no_route`, or `dispatch.upstream_unavailable` where lemond would have to be asked and does not answer. */
export function createFind(deps: FindDeps): (model: string | null) => Upstream | Promise<Upstream> {
  const names = (): Names => deps.slots.names(deps.config().upstreams);

  const found = (model: string | null): Resolved => resolve(model, names(), deps.config().order);

  /** Undefined if nothing known has that name. */
  const upstreamOf = (found: Resolution): Upstream | undefined => {
    switch (found.kind) {
      case "slot":
        return deps.slots.get(found.name);
      case "implicit":
        return deps.slots.ofModel(found.model);
      case "remote":
        return deps.remotes.get(found.name);
      case "none":
        return undefined;
    }
  };

  const afterAsking = async (model: string | null): Promise<Upstream> => {
    if (deps.config().lemonade.autoSlots) {
      const models = await deps.slots.models();
      const upstream = upstreamOf(found(model));
      if (upstream) return upstream;
      if (models === null) throw modelsUnknown(deps.lemonade);
    }
    throw noRoute(model, availableNames(names()));
  };

  return (model) => {
    const now = found(model);
    const { autoSlots } = deps.config().lemonade;
    // The name may be exactly that of a model pulled a minute ago.
    if (now.by === "near" && autoSlots) return afterAsking(model);
    // Patterns mostly mean remotes: never wait for lemond here; the next request knows.
    if (now.kind !== "none" && now.by === "pattern" && autoSlots) void deps.slots.models();
    return upstreamOf(now) ?? afterAsking(model);
  };
}

function noRoute(model: string | null, available: readonly string[]): DispatchError {
  const asked =
    model === null || model === ""
      ? "No model was named, and there is no default slot"
      : `Nothing serves model ${model.slice(0, 200)}`;
  const there = available.length > 0 ? available.slice(0, NAMES_SHOWN).join(", ") : "nothing";
  return new DispatchError("dispatch.no_route", `${asked}; available: ${there}.`, {
    model: model?.slice(0, 200) ?? null,
    available: available.slice(0, NAMES_SHOWN),
  });
}

function modelsUnknown(lemonade: FindDeps["lemonade"]): DispatchError {
  const target = lemonade.url;
  const cause = lemonade.modelsFault() ?? "no answer";
  return new DispatchError(
    "dispatch.upstream_unavailable",
    `lemond at ${target} cannot be asked for its models: ${cause}.`,
    { upstream: "lemonade", target, error: "ConnectError", cause },
    { "retry-after": "5" },
  );
}
