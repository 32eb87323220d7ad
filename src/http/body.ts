// Reads a request body once, within its limit, and looks at the two fields that dispatch needs. The bytes stay the client's.
import * as v from "valibot";
import { DispatchError } from "./errors.ts";
import { scanFields, valueAt } from "./json-scan.ts";

export interface Asked {
  readonly model: string | null;
  readonly wantsStream: boolean;
}

const Fields = v.object({
  model: v.optional(v.nullable(v.string("expected a string"))),
  stream: v.optional(v.nullable(v.boolean("expected true or false"))),
});

const FIELD_NAMES = Object.keys(Fields.entries);

/** How much more than the limit is read on; who sends still more gets a reset. */
const READ_ON_BYTES = 1024 ** 3;

/**
 * The whole body. Throws DispatchError `request.too_large`, after reading on to the end: a client that is still sending
 * would see a reset instead of the answer.
 */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced <= maxBytes) return new Uint8Array(await request.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let bodyBytes = 0;
  for await (const chunk of request.body ?? []) {
    bodyBytes += chunk.length;
    if (bodyBytes <= maxBytes) chunks.push(chunk);
    else chunks.length = 0;
    if (bodyBytes > maxBytes + READ_ON_BYTES) break;
  }
  if (bodyBytes > maxBytes)
    throw new DispatchError("request.too_large", `The request body is larger than ${maxBytes} bytes.`, {
      limit: maxBytes,
    });
  return new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** `model` and `stream` of a body. Throws DispatchError `request.invalid` with the path of the fault, never with its value. */
export function readAsked(body: Uint8Array): Asked {
  const invalid = (path: string, fault: string): DispatchError =>
    new DispatchError("request.invalid", path === "" ? `The request body ${fault}.` : `${path}: ${fault}.`, { path });
  const scan = scanFields(body, FIELD_NAMES);
  if (!scan.ok) throw invalid("", scan.fault);
  const valueOf = (name: string): unknown => {
    const span = scan.spans.get(name);
    return span && valueAt(body, span);
  };
  const parsed = v.safeParse(Fields, { model: valueOf("model"), stream: valueOf("stream") });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw invalid(v.getDotPath(issue) ?? "", issue.message);
  }
  return { model: parsed.output.model ?? null, wantsStream: parsed.output.stream ?? false };
}
