// Flags and environment: which of them sets a value. Pure.
import type * as v from "valibot";
import { type Faults, readValue } from "./tables.ts";

export type Given = readonly [where: string, value: string | undefined];

/** The first that is set; an empty variable is not (a unit file may blank one), an empty flag is. */
export function firstGiven(...given: readonly Given[]): { where: string; value: string } | null {
  for (const [where, value] of given) {
    if (value !== undefined && (value !== "" || where.startsWith("--"))) return { where, value };
  }
  return null;
}

/** What flags and environment say, over what the file says; null is neither. */
export function readGiven<S extends v.GenericSchema>(
  schema: S,
  faults: Faults,
  ...given: readonly Given[]
): { where: string; value: v.InferOutput<S> } | null {
  const first = firstGiven(...given);
  const value = first && readValue(first.where, first.value, schema, faults);
  return first === null || value === null ? null : { where: first.where, value };
}
