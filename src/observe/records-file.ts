// The file in which records outlive a restart: totals, the last repairs and requests. Its loss or damage costs those alone.
import { readFileSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { RepairEntry } from "./repairs.ts";
import { RequestRecord } from "./requests.ts";
import type { Day } from "./totals.ts";

/** Lists have the newest first. */
export interface Kept {
  readonly days: readonly Day[];
  readonly repairs: readonly RepairEntry[];
  readonly requests: readonly RequestRecord[];
}

/** Nothing larger is written, or read. */
export const MOST_FILE_BYTES = 1024 * 1024;
const FILE_NAME = "records.json";
const VERSION = 1;

const File = v.object({
  version: v.literal(VERSION),
  days: v.array(v.unknown()),
  repairs: v.array(v.unknown()),
  requests: v.array(v.unknown()),
});

const Count = v.pipe(v.number(), v.minValue(0));
const DayEntry = v.object({
  day: v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\d$/)),
  served: Count,
  continued: Count,
  fell_back: Count,
  recovered: Count,
  waited_ms: Count,
});

export const NOTHING_KEPT: Kept = { days: [], repairs: [], requests: [] };

export const recordsPath = (folder: string): string => join(folder, FILE_NAME);

/** What was kept, or why it cannot be read; a missing file counts as nothing kept. Entries that do not fit are left out. */
export function readRecords(folder: string): Kept | { readonly fault: string } {
  const path = recordsPath(folder);
  let text: string;
  try {
    if (statSync(path).size > MOST_FILE_BYTES) return { fault: `larger than ${MOST_FILE_BYTES} bytes` };
    text = readFileSync(path, "utf8");
  } catch (error) {
    return codeOf(error) === "ENOENT" ? NOTHING_KEPT : { fault: codeOf(error) };
  }
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), File), text);
  if (!parsed.success) return { fault: "not a file of records of this version" };
  const { days, repairs, requests } = parsed.output;
  return {
    days: fitting(DayEntry, days),
    repairs: fitting(RepairEntry, repairs),
    requests: fitting(RequestRecord, requests),
  };
}

/** Written beside and moved into place, so that a file is whole or the old one. Rejects where it cannot be written. */
export async function writeRecords(folder: string, kept: Kept): Promise<void> {
  const path = recordsPath(folder);
  const fresh = `${path}.new`;
  try {
    const file = await open(fresh, "w", 0o600);
    try {
      await file.writeFile(textOf(kept));
      // Without it a power cut soon after the move may leave an empty file.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => {}); // If it could not be written, perhaps it cannot be removed either.
    throw error;
  }
}

/** Names may be long and their characters escaped: then fewer entries are kept. */
function textOf({ days, repairs, requests }: Kept): string {
  for (let most = requests.length + repairs.length; ; most = Math.floor(most / 2)) {
    const kept = { version: VERSION, days, repairs: repairs.slice(0, most), requests: requests.slice(0, most) };
    const text = JSON.stringify(kept);
    if (Buffer.byteLength(text) <= MOST_FILE_BYTES || most === 0) return text;
  }
}

function fitting<S extends v.GenericSchema>(schema: S, entries: readonly unknown[]): v.InferOutput<S>[] {
  return entries.flatMap((entry) => {
    const parsed = v.safeParse(schema, entry);
    return parsed.success ? [parsed.output] : [];
  });
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
