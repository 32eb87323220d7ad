// lemond's own load, unload and delete, as an operator's actions on the slots: by what name lemond would read the body, whose
// model that is, and what is sent in its place. What names no slot is lemond's alone.
import * as v from "valibot";
import { resolve } from "../dispatch/resolve.ts";
import type { Slot } from "../slots/slot.ts";
import type { Slots } from "../slots/slots.ts";
import { within } from "./accepted.ts";
import { readBody, readObject } from "./body.ts";
import type { Passing, Passthrough } from "./passthrough.ts";

type Body = Readonly<Record<string, unknown>>;

/** The fields in which lemond reads the model's name, by order; the first one given counts. */
const NAME_FIELDS: Readonly<Record<string, readonly string[]>> = {
  load: ["model_name"],
  unload: ["model_name", "model"],
  delete: ["model", "model_name"],
  "api/delete": ["name", "model"],
};

const BODY_BYTES = 1024 * 1024;

export const isOrder = ({ to, request }: Passing): boolean =>
  to.path.name in NAME_FIELDS && request.method === (to.path.name === "api/delete" ? "DELETE" : "POST");

/** The slot that a name means at lemond; undefined if it means no slot. */
export type SlotNamed = (name: string) => Promise<Slot | undefined>;

/** Asks lemond for its models where it must. */
export function createSlotNamed(slots: Slots): SlotNamed {
  const known = (name: string): Slot | undefined => {
    const configured = slots.all().filter(({ record }) => !record.isImplicit);
    const named = configured.find((slot) => slot.name === name || slot.aliases.includes(name));
    if (named) return named;
    // Models are those of the first lemond: another may have one of the same name.
    const own = slots.first.slots().filter(({ record }) => !record.isImplicit);
    const found = resolve(name, { ...slots.names([]), slots: own }, []);
    if (found.kind === "slot") return slots.get(found.name);
    return found.kind === "implicit" ? slots.ofModel(found.model) : undefined;
  };
  return async (name) => {
    const there = known(name);
    if (there) return there;
    await slots.models();
    return known(name);
  };
}

/** The function throws DispatchError; the reply is lemond's. */
export function createOrders(
  slots: Slots,
  slotNamed: SlotNamed,
  passthrough: Passthrough,
): (passing: Passing) => Promise<Response> {
  return async (passing) => {
    const { to, request, entry } = passing;
    const { name: order, path } = to.path;
    const bytes = await within(entry, readBody(request, BODY_BYTES));
    const body = order === "unload" && bytes.length === 0 ? {} : readObject(bytes);
    const fields = NAME_FIELDS[order] ?? [];
    const name = v.safeParse(
      v.string(),
      fields.map((field) => body[field]).find((value) => typeof value === "string"),
    );
    // Of lemond this would unload everything, in the middle of whatever runs.
    if (order === "unload" && !name.output) return within(entry, unloadAll());
    const slot = name.success ? await within(entry, slotNamed(name.output)) : undefined;
    if (!slot) return passthrough({ ...passing, body: bytes });
    const own = order === "load" ? (slot.record.config.load ?? {}) : {};
    const method = order === "api/delete" ? "DELETE" : "POST";
    const forward = { method, path, body: { ...own, ...named(body, fields, slot.model) } } as const;
    const { status, text } = await within(entry, slot.forward(order === "load" ? "load" : "unload", forward));
    return replyOf(status, text, slot.name);
  };

  /** One by one and by name, with the turn and the gate of each. A slot that is busy does not keep the others. */
  async function unloadAll(): Promise<Response> {
    const faults: Response[] = [];
    let thrown: unknown = null;
    for (const slot of slots.first.slots().filter(({ record }) => record.child !== null)) {
      const forward = { path: "/v1/unload", body: { model_name: slot.model } };
      try {
        const { status, text } = await slot.forward("unload", forward);
        if (status >= 400 && status !== 404) faults.push(replyOf(status, text, slot.name));
      } catch (error) {
        thrown ??= error;
      }
    }
    if (thrown !== null) throw thrown;
    return faults[0] ?? Response.json({ message: "All models unloaded successfully", status: "success" });
  }
}

/** Every field that lemond may read the name from has its own name for the model. */
function named(body: Body, fields: readonly string[], model: string): Body {
  const given = fields.filter((field) => typeof body[field] === "string");
  return { ...body, ...Object.fromEntries(given.map((field) => [field, model])) };
}

function replyOf(status: number, text: string, slot: string): Response {
  const headers = { "content-type": "application/json", "x-hal0-upstream": slot.replace(/[^\x20-\x7e]/g, "?") };
  return new Response(text, { status, headers });
}
