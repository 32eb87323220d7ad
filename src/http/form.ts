// Reads the plain fields of a multipart/form-data body, and puts another name into its `model`, wherever it stands among the
// parts. Pure; file parts are passed over by a native search and never copied. RFC 7578, RFC 2046 section 5.1.
import { type Edit, type Pieces, spliced } from "./pieces.ts";

/** A part without a file name; `from` and `to` are its content's. */
interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

interface Form {
  readonly fields: readonly Field[];
  /** Where the first part's delimiter stands. */
  readonly start: number;
}

/** The boundary in a `Content-Type`; null if it is not a form's. */
export function boundaryOf(contentType: string | null): string | null {
  if (contentType === null || !/^multipart\/form-data\s*(;|$)/i.test(contentType)) return null;
  const named = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType);
  return named?.[1] ?? named?.[2] ?? "";
}

/** The text of the plain field of that name; undefined without such a field, null if the body is not a whole form. */
export function fieldOf(body: Uint8Array<ArrayBuffer>, boundary: string, name: string): string | undefined | null {
  const form = parse(viewOf(body), boundary);
  if (form === null) return null;
  const field = form.fields.findLast((field) => field.name === name);
  return field && new TextDecoder().decode(body.subarray(field.from, field.to));
}

/** `body` is a whole form. A `model` that stands there twice is replaced twice. */
export function withModelInForm(body: Uint8Array<ArrayBuffer>, boundary: string, model: string): Pieces {
  const { fields = [], start = 0 } = parse(viewOf(body), boundary) ?? {};
  const models = fields.filter(({ name }) => name === "model");
  const part = `--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n`;
  const edits: Edit[] =
    models.length > 0
      ? models.map(({ from, to }) => ({ from, to, bytes: new TextEncoder().encode(model) }))
      : [{ from: start, to: start, bytes: new TextEncoder().encode(part) }];
  return spliced(body, edits);
}

/** A view with native search, which a typed array has for single numbers only. */
const viewOf = (body: Uint8Array<ArrayBuffer>): Buffer => Buffer.from(body.buffer, body.byteOffset, body.byteLength);

const HEADERS_BYTES = 16 * 1024;

function parse(body: Buffer, boundary: string): Form | null {
  if (boundary === "") return null;
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // A delimiter begins a line; the first one may begin the body.
  const first = delimiter.subarray(2);
  const start = body.subarray(0, first.length).equals(first) ? 0 : nextDelimiter(body, delimiter, 0) + 2;
  if (start === 1) return null;
  const fields: Field[] = [];
  let at = start + first.length;
  while (!isClosing(body, at)) {
    const headersFrom = body.indexOf("\r\n", at);
    const headersTo = headersFrom < 0 ? -1 : body.indexOf("\r\n\r\n", headersFrom);
    if (headersTo < 0 || headersTo - headersFrom > HEADERS_BYTES) return null;
    const from = headersTo + 4;
    const to = nextDelimiter(body, delimiter, from);
    if (to < 0) return null;
    const name = nameIn(body.toString("utf8", headersFrom, headersTo));
    if (name !== null) fields.push({ name, from, to });
    at = to + delimiter.length;
  }
  return { fields, start };
}

const isClosing = (body: Buffer, at: number): boolean => body[at] === 0x2d && body[at + 1] === 0x2d;

/** Another boundary that begins like this one is none. */
function nextDelimiter(body: Buffer, delimiter: Buffer, from: number): number {
  let at = body.indexOf(delimiter, from);
  while (at >= 0) {
    const end = at + delimiter.length;
    if (isClosing(body, end) || endsLine(body, end)) return at;
    at = body.indexOf(delimiter, at + 1);
  }
  return -1;
}

function endsLine(body: Buffer, from: number): boolean {
  let at = from;
  while (body[at] === 0x20 || body[at] === 0x09) at++;
  return body[at] === 0x0d && body[at + 1] === 0x0a;
}

/** The name of a part that is a plain field; null for a file. */
function nameIn(headers: string): string | null {
  const disposition = /\r\ncontent-disposition:([^\r\n]*)/i.exec(headers)?.[1] ?? "";
  if (/;\s*filename\*?=/i.test(disposition)) return null;
  const named = /;\s*name=(?:"([^"]*)"|([^\s;"]+))/i.exec(disposition);
  return named?.[1] ?? named?.[2] ?? null;
}
