// Finds fields of a JSON object in its bytes, and puts others in their place: what is not touched stays the client's, byte for
// byte. Judges the whole text as JSON.parse does, but makes nothing of it. Pure.
import { isUtf8 } from "node:buffer";
import {
  afterColon,
  afterSpace,
  BACKSLASH,
  CLOSE_OBJECT,
  COMMA,
  endOfString,
  endOfValue,
  FAULT,
  OPEN_OBJECT,
  QUOTE,
  type Text,
  textOf,
} from "./json-text.ts";
import { type Pieces, spliced } from "./pieces.ts";

/** The bytes of a value, without the white space around it. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Completes "The request body …". */
export type JsonFault = "is not valid UTF-8" | "is not valid JSON" | "is not a JSON object";

export type Scan =
  { readonly ok: true; readonly spans: ReadonlyMap<string, Span> } | { readonly ok: false; readonly fault: JsonFault };

/** Where the top level of `body` has the fields of these names (ASCII). Of a duplicate key the last one counts. */
export function scanFields(body: Uint8Array, names: readonly string[]): Scan {
  if (!isUtf8(body)) return { ok: false, fault: "is not valid UTF-8" };
  const text = textOf(body);
  const begin = afterSpace(body, startsWithMark(body) ? 3 : 0);
  const spans = new Map<string, Span>();
  const isObject = body[begin] === OPEN_OBJECT;
  const end = isObject ? endOfObject(text, begin, names, spans) : endOfValue(text, begin);
  if (end < 0 || afterSpace(body, end) < body.length) return { ok: false, fault: "is not valid JSON" };
  return isObject ? { ok: true, spans } : { ok: false, fault: "is not a JSON object" };
}

const utf8 = new TextDecoder();

/** The parsed value at that place. */
export function valueAt(body: Uint8Array, { start, end }: Span): unknown {
  return JSON.parse(utf8.decode(body.subarray(start, end)));
}

/** The same bytes but for one field of the object: `json` in the place of its value, or a new first field where `span` is null. */
export function replaceField(body: Uint8Array<ArrayBuffer>, name: string, span: Span | null, json: string): Pieces {
  const inside = body.indexOf(OPEN_OBJECT) + 1;
  const comma = body[afterSpace(body, inside)] === CLOSE_OBJECT ? "" : ",";
  const { start, end } = span ?? { start: inside, end: inside };
  const put = new TextEncoder().encode(span ? json : `${JSON.stringify(name)}:${json}${comma}`);
  return spliced(body, [{ from: start, to: end, bytes: put }]);
}

/** A byte order mark, which TextDecoder leaves out. */
const startsWithMark = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

function endOfObject(text: Text, begin: number, names: readonly string[], spans: Map<string, Span>): number {
  const { bytes } = text;
  let at = afterSpace(bytes, begin + 1);
  if (bytes[at] === CLOSE_OBJECT) return at + 1;
  for (;;) {
    const key = at;
    const close = bytes[key] === QUOTE ? endOfString(text, key + 1) : FAULT;
    const start = close < 0 ? FAULT : afterColon(bytes, close);
    const end = start < 0 ? FAULT : endOfValue(text, start);
    if (end < 0) return FAULT;
    const name = nameIn(bytes, key, close, names);
    if (name !== undefined) spans.set(name, { start, end });
    at = afterSpace(bytes, end);
    if (bytes[at] === CLOSE_OBJECT) return at + 1;
    if (bytes[at] !== COMMA) return FAULT;
    at = afterSpace(bytes, at + 1);
  }
}

/** The one of `names` that a key means, given with its quotes. */
function nameIn(bytes: Uint8Array, start: number, end: number, names: readonly string[]): string | undefined {
  for (const name of names) if (name.length === end - start - 2 && stands(bytes, start + 1, name)) return name;
  for (let at = start; at < end; at++)
    if (bytes[at] === BACKSLASH) {
      return names.find((name) => name === unescaped(bytes, { start, end }));
    }
  return undefined;
}

/** Undefined if it has a control character, which the upstream refuses. */
function unescaped(bytes: Uint8Array, key: Span): unknown {
  try {
    return valueAt(bytes, key);
  } catch {
    return undefined;
  }
}

function stands(bytes: Uint8Array, start: number, name: string): boolean {
  for (let at = 0; at < name.length; at++) if (bytes[start + at] !== name.charCodeAt(at)) return false;
  return true;
}
