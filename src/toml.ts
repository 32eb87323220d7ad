// TOML text to a table, or to one fault with its line and column. Never repeats what the text says: it may hold keys.

/** A TOML table. Keys such as `__proto__` are own properties of it (Bun 1.4.5). */
export type Table = Readonly<Record<string, unknown>>;

export type Parsed =
  | { readonly ok: true; readonly table: Table }
  | { readonly ok: false; readonly line: number; readonly column: number; readonly reason: string };

/** Parses a whole file. Line and column count from 1, where the parser gave up. */
export function parseToml(text: string): Parsed {
  const outcome = tryParse(text);
  if (isTable(outcome)) return { ok: true, table: outcome };
  return { ok: false, ...position(text, outcome), reason: outcome };
}

/** Lists and TOML dates are objects too (dates are Temporal objects), and valibot's object schemas accept both. */
export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The table, or why there is none. Nesting some thousands deep ends in a RangeError. */
function tryParse(text: string): Table | string {
  try {
    const value: unknown = Bun.TOML.parse(text);
    return isTable(value) ? value : "not a table";
  } catch (error) {
    if (!(error instanceof SyntaxError)) return "nested too deeply";
    return withoutContent(error.message.replace(/^TOML Parse error: /, ""));
  }
}

/** Bun quotes values and keys in its messages (`Strings must be quoted: "sk-…"`); a single sign of punctuation may stay. */
function withoutContent(message: string): string {
  return message.replace(/[:\s]*(["'])(?![^\w\s]\1)[^]*$/, "");
}

/**
 * Bun.TOML.parse says no position (the error's own `line` is that of the calling script), so it is found by parsing
 * shorter texts: the fault ends where the shortest one fails for the same reason.
 */
function position(text: string, reason: string): { line: number; column: number } {
  const lines = text.split("\n");
  const head = (count: number): string => lines.slice(0, count).join("\n");
  const isSame = (prefix: string): boolean => tryParse(prefix) === reason;

  let good = 0;
  let bad = lines.length;
  while (good + 1 < bad) {
    const middle = Math.floor((good + bad) / 2);
    if (isSame(head(middle))) bad = middle;
    else good = middle;
  }
  const before = bad === 1 ? "" : `${head(bad - 1)}\n`;
  const line = lines[bad - 1] ?? "";
  // From the end: a half-read `true` fails as an unquoted string would, so the first failing column can be a false one.
  let column = line.length;
  while (column > 1 && isSame(before + line.slice(0, column - 1))) column--;
  return { line: bad, column: Math.max(column, 1) };
}
