// One table of a configuration file against its fields: unknown keys, missing ones, wrong values, each with its path. Pure.
import * as v from "valibot";
import { table } from "./fields.ts";
import { isTable } from "./toml.ts";

/** Where faults are gathered; a reader returns null after it has added one. */
export type Faults = string[];

/**
 * The fields of `value`, or null with every fault of it added to `faults`. `where` is its path (`slots.primary`), ""
 * the whole file. Unknown keys are faults unless `passOver` is set.
 */
export function readTable<const E extends v.ObjectEntries>(
  where: string,
  value: unknown,
  fields: E,
  faults: Faults,
  passOver = false,
): v.InferOutput<v.ObjectSchema<E, undefined>> | null {
  if (!isTable(value)) {
    readValue(where, value, table, faults);
    return null;
  }
  // valibot's own strict schema takes lists for tables, stops at the first unknown key and does not see `__proto__`.
  const known = Object.keys(fields);
  const unknown = passOver ? [] : Object.keys(value).filter((key) => !known.includes(key));
  for (const key of unknown) faults.push(`${keyPath(where, key)}: unknown key${suggestion(key, known)}`);
  return readValue(
    where,
    value,
    v.object(fields, () => "is missing"),
    faults,
  );
}

/** `value` through `schema`, or null with its faults added. */
export function readValue<S extends v.GenericSchema>(
  where: string,
  value: unknown,
  schema: S,
  faults: Faults,
): v.InferOutput<S> | null {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  for (const { path, message } of result.issues) {
    const at = (path ?? []).reduce((parent, { key }) => keyPath(parent, key), where);
    faults.push(`${at}: ${message}`);
  }
  return null;
}

/** `slots.primary.model`, `server.api_keys[0]`, `slots."a b"`. */
export function keyPath(where: string, key: unknown): string {
  if (typeof key === "number") return `${where}[${key}]`;
  const name = typeof key === "string" && /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  return where === "" ? name : `${where}.${name}`;
}

function suggestion(key: string, known: readonly string[]): string {
  const near = known.filter((name) => distance(key, name) <= Math.min(2, name.length / 2));
  const best = near.sort((a, b) => distance(key, a) - distance(key, b))[0];
  return best === undefined ? "" : `, did you mean "${best}"?`;
}

/** Levenshtein's: letters to add, drop or change. */
function distance(from: string, to: string): number {
  // Longer ones are far from every key, and are not worth the table.
  if (Math.abs(from.length - to.length) > 2) return 3;
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (const [at, other] of [...to].entries()) {
      const [left = 0, above = 0, diagonal = 0] = [next[at], row[at + 1], row[at]];
      next.push(Math.min(left + 1, above + 1, diagonal + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
