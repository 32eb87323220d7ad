// What an Ollama client is told of the models: lemond's own lists, in which slots and their aliases are models too.
import * as v from "valibot";
import { findModel } from "../lemonade/names.ts";
import type { Slots } from "../slots/slots.ts";
import { within } from "./accepted.ts";
import { readBody, readFields } from "./body.ts";
import { replaceField, scanFields } from "./json-scan.ts";
import type { SlotNamed } from "./orders.ts";
import type { Passing, Passthrough } from "./passthrough.ts";

const Tags = v.object({ models: v.array(v.looseObject({ name: v.string() })) });

/** A body that asks about a model has its name and little else. */
const BODY_BYTES = 1024 * 1024;

/** `GET /api/tags`: each slot's name and aliases beside its model, as far as lemond has that. */
export async function tags(passing: Passing, slots: Slots, passthrough: Passthrough): Promise<Response> {
  const response = await passthrough(passing);
  if (response.status !== 200 || passing.request.method === "HEAD") return response;
  const text = await response.text();
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Tags), text);
  const { status, headers } = response;
  if (!parsed.success) return new Response(text, { status, headers });
  const { models } = parsed.output;
  const ours = slots.all().flatMap((slot) => {
    const model = findModel(models, slot.model, ({ name }) => untagged(name));
    const names = [slot.name, ...slot.aliases].filter((name) => !name.includes("*") && name !== slot.model);
    return model ? names.map((name) => ({ ...model, name: `${name}:latest`, model: `${name}:latest` })) : [];
  });
  return Response.json({ ...parsed.output, models: [...ours, ...models] }, { status, headers });
}

/** `POST /api/show`: of a slot or an alias what lemond says of its model. */
export async function show(passing: Passing, slotNamed: SlotNamed, passthrough: Passthrough): Promise<Response> {
  const body = await within(passing.entry, readBody(passing.request, BODY_BYTES));
  const { name, model } = readFields(body, ["name", "model"]);
  // Read as lemond reads them: the older field comes first.
  const field = typeof name === "string" && name !== "" ? "name" : "model";
  const asked = field === "name" ? name : model;
  const slot = typeof asked === "string" ? await within(passing.entry, slotNamed(asked)) : undefined;
  const scan = scanFields(body, [field]);
  if (!slot || !scan.ok) return passthrough({ ...passing, body });
  const named = replaceField(body, field, scan.spans.get(field) ?? null, JSON.stringify(slot.model));
  return passthrough({ ...passing, body: Buffer.concat(named) });
}

const untagged = (name: string): string => (name.endsWith(":latest") ? name.slice(0, -":latest".length) : name);
