// Reads a request body once, within its limit, and looks at the fields that dispatch needs. The bytes stay the client's.
import * as v from "valibot";
import { CHANGED_FIELDS, isChangedByLemond } from "../lemonade/changes.ts";
import { DispatchError } from "./errors.ts";
import { boundaryOf, fieldOf } from "./form.ts";
import { scanFields, type Span, valueAt } from "./json-scan.ts";
import { MODEL_ROUTES, type ModelRoute } from "./routes.ts";

export interface Asked {
  readonly model: string | null;
  readonly wantsStream: boolean;
  /** Of a form; null for JSON. */
  readonly boundary: string | null;
  readonly isChangedByLemond: boolean;
  /** Ollama's way to unload a model. */
  readonly isUnload: boolean;
}

const Fields = v.object({
  model: v.optional(v.nullable(v.string("expected a string"))),
  stream: v.optional(v.nullable(v.boolean("expected true or false"))),
});

const FIELD_NAMES = Object.keys(Fields.entries);
/** The field with an Ollama request's text; without text, and with a `keep_alive` of 0, it is an unload. */
const SAID: Readonly<Record<string, string>> = { "api/chat": "messages", "api/generate": "prompt" };
const KEEP = "keep_alive";

const namesOf = ({ path }: ModelRoute): readonly string[] => {
  const said = SAID[path];
  return [...FIELD_NAMES, ...(CHANGED_FIELDS[path] ?? []), ...(said === undefined ? [] : [said, KEEP])];
};
const NAMES_OF = new Map([...MODEL_ROUTES.values()].map((route) => [route.path, namesOf(route)]));

/** How much is read on beyond the limit; a client that sends still more gets a reset. */
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

/** What dispatch must know of a body. Throws DispatchError `request.invalid` with the path of the fault, never with its value. */
export function readAsked(body: Uint8Array<ArrayBuffer>, contentType: string | null, route: ModelRoute): Asked {
  const boundary = route.isViaLemond ? boundaryOf(contentType) : null;
  if (boundary !== null) {
    const model = fieldOf(body, boundary, "model");
    if (model === null) throw invalid("", "is not a whole multipart/form-data");
    return { model: model ?? null, wantsStream: false, boundary, isChangedByLemond: false, isUnload: false };
  }
  const scan = scanFields(body, NAMES_OF.get(route.path) ?? FIELD_NAMES);
  if (!scan.ok) throw invalid("", scan.fault);
  const { spans } = scan;
  const parsed = v.safeParse(Fields, valuesOf(body, spans, FIELD_NAMES));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw invalid(v.getDotPath(issue) ?? "", issue.message);
  }
  const { model, stream } = parsed.output;
  return {
    model: model ?? null,
    wantsStream: stream ?? route.streamsByDefault,
    boundary,
    isChangedByLemond: isChangedByLemond(valuesOf(body, spans, CHANGED_FIELDS[route.path] ?? [])),
    isUnload: isUnload(body, spans, SAID[route.path]),
  };
}

/** Looks at what is said only where nothing is to be kept. */
function isUnload(body: Uint8Array, spans: ReadonlyMap<string, Span>, said: string | undefined): boolean {
  if (said === undefined || valuesOf(body, spans, [KEEP])[KEEP] !== 0) return false;
  const value = valuesOf(body, spans, [said])[said] ?? "";
  return value === "" || (Array.isArray(value) && value.length === 0);
}

function valuesOf(
  body: Uint8Array,
  spans: ReadonlyMap<string, Span>,
  names: readonly string[],
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const span = spans.get(name);
    if (span) values[name] = judgedValue(body, span);
  }
  return values;
}

/** The scan of a large body leaves control characters inside its long strings to be found by whoever reads them. */
function judgedValue(body: Uint8Array, span: Span): unknown {
  try {
    return valueAt(body, span);
  } catch {
    throw invalid("", "is not valid JSON");
  }
}

/** The fields of these names in a JSON object. Throws like `readAsked`. */
export function readFields(body: Uint8Array, names: readonly string[]): Record<string, unknown> {
  const scan = scanFields(body, names);
  if (!scan.ok) throw invalid("", scan.fault);
  return valuesOf(body, scan.spans, names);
}

/** A body that must be a JSON object, as a whole. Throws like `readAsked`. */
export function readObject(body: Uint8Array): Record<string, unknown> {
  const scan = scanFields(body, []);
  if (!scan.ok) throw invalid("", scan.fault);
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw invalid("", "is not valid JSON"); // As in `judgedValue`.
  }
}

function invalid(path: string, fault: string): DispatchError {
  return new DispatchError("request.invalid", path === "" ? `The request body ${fault}.` : `${path}: ${fault}.`, {
    path,
  });
}
