// The slot files of a hal0 host, read as they are: which of them are slots here, and with which load options. Writes nothing.
import { basename, join } from "node:path";
import * as v from "valibot";
import type { SlotConfig } from "./config.ts";
import type { Placed } from "./conflicts.ts";
import * as field from "./fields.ts";
import { attemptRead, type Files } from "./files.ts";
import { type Faults, readTable } from "./tables.ts";
import { parseToml, type Table } from "./toml.ts";

/** hal0's devices → lemond's backends; any other (`npu`) leaves the choice to lemond. */
const BACKENDS: ReadonlyMap<string, string> = new Map([
  ["gpu-rocm", "rocm"],
  ["gpu-vulkan", "vulkan"],
  ["cpu", "cpu"],
]);

const text = v.string("expected a text");

const kindFields = {
  enabled: v.optional(field.flag, true),
  type: v.optional(text, "llm"),
};

const slotFields = {
  device: v.optional(text, ""),
  model: v.optional(field.table, {}),
  server: v.optional(field.table, {}),
};

const modelFields = {
  default: v.optional(text, ""),
  context_size: v.optional(field.contextSize, 0),
};

const serverFields = {
  extra_args: v.optional(v.union([v.string(), v.array(v.string())], "expected a text or a list of texts"), ""),
};

export interface SlotFiles {
  readonly folder: string;
  readonly mayBeMissing: boolean;
  readonly defaults: Omit<SlotConfig, "name" | "model">;
  readonly files: Files;
}

/**
 * One slot for each `*.toml` file that is enabled, of type `llm` or none, and names a model; by file name. Faults begin
 * with the file's path. `notes` tells which enabled file was passed over: hal0 ships slots that have no model yet.
 */
export function readSlotFiles(
  { folder, mayBeMissing, defaults, files }: SlotFiles,
  faults: Faults,
  notes: string[],
): Placed<SlotConfig>[] {
  const names = attemptRead(() => files.listFolder(folder));
  if (!names.ok) {
    if (!names.isMissing || !mayBeMissing) faults.push(`slots_dir: ${folder} ${names.reason}`);
    return [];
  }
  const slots: Placed<SlotConfig>[] = [];
  for (const name of names.value.filter((name) => /^[^.].*\.toml$/.test(name)).toSorted()) {
    const path = join(folder, name);
    const content = attemptRead(() => files.readFile(path));
    const parsed = content.ok
      ? parseToml(path, content.value)
      : { ok: false as const, fault: `${path} ${content.reason}` };
    if (!parsed.ok) {
      faults.push(parsed.fault);
      continue;
    }
    const own: Faults = [];
    const slot = slotOf(basename(name, ".toml"), parsed.table, defaults, own);
    faults.push(...own.map((fault) => `${path}: ${fault}`));
    if (slot === "no model") notes.push(`${path}: passed over, it names no model`);
    else if (slot) slots.push({ value: slot, at: (key) => `${path}: ${key === "model" ? "model.default" : key}` });
  }
  return slots;
}

/** The slot; null where the file is none of ours or faulty. */
function slotOf(
  fileName: string,
  table: Table,
  defaults: SlotFiles["defaults"],
  faults: Faults,
): SlotConfig | "no model" | null {
  // First what decides whether the file concerns us: nobody wants to hear of faults in another's slot.
  const kind = readTable("", table, kindFields, faults, true);
  if (kind === null || !kind.enabled || kind.type !== "llm") return null;
  const file = readTable("", table, { ...slotFields, name: v.optional(field.upstreamName, fileName) }, faults, true);
  const model = readTable("model", file?.model ?? {}, modelFields, faults, true);
  const server = readTable("server", file?.server ?? {}, serverFields, faults, true);
  if (file === null || model === null || server === null) return null;
  if (model.default.trim() === "") return "no model";
  return {
    ...defaults,
    name: file.name,
    model: model.default.trim(),
    load: loadOf(model.context_size, server.extra_args, file.device),
  };
}

/** What lemond's /v1/load is sent; null leaves the options to lemond. */
function loadOf(contextSize: number, extraArgs: string | readonly string[], device: string): SlotConfig["load"] {
  const args = (typeof extraArgs === "string" ? extraArgs : extraArgs.map(quoted).join(" ")).trim();
  const backend = BACKENDS.get(device);
  const load = {
    // 0 is the model's own, to hal0 and to lemond.
    ...(contextSize > 0 && { ctx_size: contextSize }),
    ...(args !== "" && { llamacpp_args: args }),
    ...(backend !== undefined && { llamacpp_backend: backend }),
  };
  return Object.keys(load).length > 0 ? load : null;
}

/** lemond splits the text at spaces outside of quotes, of either kind. */
function quoted(arg: string): string {
  if (arg !== "" && !/[\s"']/.test(arg)) return arg;
  return arg.includes('"') ? `'${arg}'` : `"${arg}"`;
}
