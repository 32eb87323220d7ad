// Which slot a name means, as the server around step() finds it.
import type { SlotRecord } from "../../src/slots/known.ts";
import { implicitOf, ownerOf, slotsShown } from "../../src/slots/roster.ts";
import { happen } from "./happen.ts";
import type { Asked, World } from "./world.ts";

export const slotOfName = ({ known }: World, name: string): SlotRecord | undefined =>
  slotsShown(known).find((slot) => slot.name === name);

/** A model that has no slot yet is given one. */
export function slotOfAsked(world: World, asked: Asked): SlotRecord | undefined {
  if ("slot" in asked) return slotOfName(world, asked.slot);
  const there = (): SlotRecord | undefined => ownerOf(world.known, asked.model) ?? implicitOf(world.known, asked.model);
  if (!there()) happen(world, { kind: "named", model: asked.model });
  return there();
}
