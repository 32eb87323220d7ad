// The fallbacks of a slot: how they are written, which of them cannot be, and which model a remote is asked for. Pure.
import * as v from "valibot";
import type { Fallback, RemoteConfig, SlotConfig } from "./config.ts";
import type { Placed } from "./conflicts.ts";
import * as field from "./fields.ts";
import { type Faults, keyPath, readTable, readValue } from "./tables.ts";
import { isTable } from "./toml.ts";

const fields = { upstream: field.upstreamName, model: v.optional(field.modelName) };

/** `"small"` or `{ upstream = "router", model = "qwen/qwen3" }`, each; faulty ones are left out. */
export function readFallbacks(where: string, list: readonly unknown[], faults: Faults): Fallback[] {
  return list.flatMap((entry, index) => {
    const at = keyPath(where, index);
    if (isTable(entry)) {
      const table = readTable(at, entry, fields, faults);
      return table === null ? [] : [{ upstream: table.upstream, model: table.model ?? null }];
    }
    const upstream = readValue(at, entry, field.upstreamName, faults);
    return upstream === null ? [] : [{ upstream, model: null }];
  });
}

/** `written`: every name of an upstream in the file, also of those that are faulty. */
export function fallbackFaults(
  slots: readonly Placed<SlotConfig>[],
  remotes: readonly Placed<RemoteConfig>[],
  written: readonly string[],
): string[] {
  const names = new Set(slots.map(({ value }) => value.name));
  const remoteOf = new Map(remotes.map(({ value }) => [value.name, value]));
  const faultOf = (slot: SlotConfig, { upstream, model }: Fallback): string | null => {
    if (upstream === slot.name) return "a slot cannot be its own fallback";
    if (names.has(upstream))
      return model === null ? null : `"${upstream}" is a slot, which has a model of its own: leave model out`;
    const remote = remoteOf.get(upstream);
    if (!remote) return written.includes(upstream) ? null : `no slot and no upstream is called "${upstream}"`;
    if (model !== null || !remote.models.some(isPattern)) return null;
    return `"${upstream}" has patterns, so say which model: { upstream = "${upstream}", model = "…" }`;
  };
  return slots.flatMap(({ value: slot, at }) =>
    slot.fallback.flatMap((fallback, index) => {
      const fault = faultOf(slot, fallback);
      return fault === null ? [] : [`${keyPath(at("fallback"), index)}: ${fault}`];
    }),
  );
}

/** A remote named without a model is asked for the first of its models. */
export function namedFallbacks({ fallback }: SlotConfig, remotes: readonly RemoteConfig[]): Fallback[] {
  return fallback.map(({ upstream, model }) => {
    const remote = remotes.find(({ name }) => name === upstream);
    return { upstream, model: model ?? remote?.models[0] ?? null };
  });
}

const isPattern = (model: string): boolean => model.includes("*");
