// Reads a request body once, within its limit, and looks at the fields that dispatch needs. The bytes stay the client's.
import { isRecord } from "../dispatch/json.ts";
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

const FIELD_NAMES = ["model", "stream"];
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
export function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  return announced <= maxBytes ? request.arrayBuffer().then(bytesOf) : readWithin(request, maxBytes);
}

const bytesOf = (buffer: ArrayBuffer): Uint8Array<ArrayBuffer> => new Uint8Array(buffer);

async function readWithin(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
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
  const field = fieldsOf(body, NAMES_OF.get(route.path) ?? FIELD_NAMES);
  const model = field("model") ?? null;
  const stream = field("stream") ?? null;
  if (model !== null && typeof model !== "string") throw invalid("model", "expected a string");
  if (stream !== null && typeof stream !== "boolean") throw invalid("stream", "expected true or false");
  return {
    model,
    wantsStream: stream ?? route.streamsByDefault,
    boundary,
    isChangedByLemond: isChangedByLemond(valuesOf(field, CHANGED_FIELDS[route.path] ?? [])),
    isUnload: isUnload(field, SAID[route.path]),
  };
}

/** Looks at what is said only where nothing is to be kept. */
function isUnload(field: FieldOf, said: string | undefined): boolean {
  if (said === undefined || field(KEEP) !== 0) return false;
  const value = field(said) ?? "";
  return value === "" || (Array.isArray(value) && value.length === 0);
}

/** The value of a field; undefined where there is none. */
type FieldOf = (name: string) => unknown;

/** To parse all of so short a body takes a third of the time that it takes to look for its fields. */
const SHORT_BYTES = 1024;

/** The fields of these names in a JSON object. Throws like `readAsked`; so does the result. */
function fieldsOf(body: Uint8Array, names: readonly string[]): FieldOf {
  if (body.length <= SHORT_BYTES) {
    const whole = parsedObject(body);
    if (whole) return (name) => whole[name];
  }
  const scan = scanFields(body, names);
  if (!scan.ok) throw invalid("", scan.fault);
  const { spans } = scan;
  return (name) => {
    const span = spans.get(name);
    return span && judgedValue(body, span);
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Null for what is none: the scan says why. */
function parsedObject(body: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(utf8.decode(body));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function valuesOf(field: FieldOf, names: readonly string[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const value = field(name);
    if (value !== undefined) values[name] = value;
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
  return valuesOf(fieldsOf(body, names), names);
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
