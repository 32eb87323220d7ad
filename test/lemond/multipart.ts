// The parts of a multipart/form-data body. Pure.

export interface Part {
  readonly name: string;
  readonly filename: string | undefined;
  readonly bytes: Buffer;
}

/** Undefined: it is no such body, or a damaged one. */
export function partsOf(body: Buffer, contentType: string | undefined): readonly Part[] | undefined {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(contentType ?? "")?.[1];
  if (boundary === undefined) return undefined;
  const mark = Buffer.from(`--${boundary}`);
  const parts: Part[] = [];
  let at = body.indexOf(mark);
  while (at >= 0) {
    const begin = at + mark.length;
    if (body.subarray(begin, begin + 2).toString() === "--") return parts;
    const head = body.indexOf("\r\n\r\n", begin);
    const next = head < 0 ? -1 : body.indexOf(mark, head);
    if (next < 0) return undefined;
    const headers = body.subarray(begin, head).toString("utf8");
    parts.push({
      name: /[; ]name="([^"]*)"/.exec(headers)?.[1] ?? "",
      filename: /filename="([^"]*)"/.exec(headers)?.[1],
      bytes: body.subarray(head + 4, next - 2),
    });
    at = next;
  }
  return undefined;
}

/** The text of a field; undefined where there is none. */
export const fieldOf = (parts: readonly Part[], name: string): string | undefined =>
  parts.find((part) => part.name === name)?.bytes.toString("utf8");
