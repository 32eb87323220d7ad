// Reads what the server answers in JSON, and fails where it is not shaped as the contract says.
import * as v from "valibot";

const Envelope = v.strictObject({
  type: v.optional(v.literal("error")),
  error: v.strictObject({
    message: v.pipe(v.string(), v.minLength(1)),
    type: v.string(),
    param: v.null(),
    code: v.string(),
    details: v.record(v.string(), v.unknown()),
  }),
});
const Models = v.object({ object: v.literal("list"), data: v.array(v.looseObject({ id: v.string() })) });

export type ErrorBody = v.InferOutput<typeof Envelope>["error"];

/** The error of a reply; throws where it is not the envelope, or has no request id. */
export async function errorOf(response: Response): Promise<ErrorBody> {
  if (!response.headers.get("x-request-id")) throw new Error("no x-request-id");
  return errorIn(await response.text());
}

export const errorIn = (text: string): ErrorBody => v.parse(v.pipe(v.string(), v.parseJson(), Envelope), text).error;

export async function modelsOf(response: Response): Promise<v.InferOutput<typeof Models>["data"]> {
  return v.parse(Models, await response.json()).data;
}
