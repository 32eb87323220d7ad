// TOML text to a table, or to one fault with its line and column. Never repeats what the text says: it may hold keys.

/** A TOML table. Keys such as `__proto__` are own properties of it (Bun 1.4.5). */
export type Table = Readonly<Record<string, unknown>>;

export type Parsed = { readonly ok: true; readonly table: Table } | { readonly ok: false; readonly fault: string };

/** Parses the whole text of a file; `path` is for the fault, `path:line:column: reason`, which counts from 1. */
export function parseToml(path: string, text: string): Parsed {
  const outcome = tryParse(text);
  if (isTable(outcome)) return { ok: true, table: outcome };
  const { line, column } = position(text, outcome);
  return { ok: false, fault: `${path}:${line}:${column}: ${outcome}` };
}

/**
 * The names of the tables below those of `sections` (`[slots.a]`, `[upstreams.b]`) as they stand in a text without faults.
 * The parsed table does not tell: it gathers what is below one section, and puts names that are numbers first.
 */
export function namesInOrder(text: string, sections: readonly string[]): string[] {
  const names = new Set<string>();
  const add = (prefix: string): void => {
    const table = tryParse(prefix);
    if (!isTable(table)) return; // Cut inside a value of several lines that begin with a bracket.
    for (const section of sections) {
      const below = table[section];
      if (isTable(below)) for (const name of Object.keys(below)) names.add(name);
    }
  };
  for (const { index } of text.matchAll(/^[ \t]*\[/gm)) add(text.slice(0, index));
  add(text);
  return [...names];
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

/** Bun repeats values and keys in quotes (`Strings must be quoted: "sk-…"`): cut there. One sign in quotes may stay. */
function withoutContent(message: string): string {
  const kept = message.replace(/(["'])[^\w\s]\1|["'][^]*$/g, (match, isOneSign?: string) => (isOneSign ? match : ""));
  return kept.replace(/[:\s]+$/, "");
}

/** Lines up to this length are searched column by column, which costs a parse each. */
const SHORT_LINE = 300;

/**
 * Bun.TOML.parse says no position (the error's own `line` is that of the calling script), so it is found by parsing
 * shorter texts: the fault ends where the shortest one fails for the same reason.
 */
function position(text: string, reason: string): { line: number; column: number } {
  const lines = text.split(/(?<=\n)/);
  const head = (count: number): string => lines.slice(0, count).join("");
  const isSame = (prefix: string): boolean => tryParse(prefix) === reason;

  const line = firstTrue(lines.length, (count) => isSame(head(count)));
  const before = head(line - 1);
  const last = lines[line - 1] ?? "";
  const isSameAt = (length: number): boolean => isSame(before + last.slice(0, length));
  if (last.length > SHORT_LINE) return { line, column: firstTrue(last.length, isSameAt) };
  // From the end: a half-read `true` fails as a text without quotes would, so the first failing column can be a false one.
  let column = Math.max(last.length, 1);
  while (column > 1 && isSameAt(column - 1)) column--;
  return { line, column };
}

/** The least of 1 to `most` for which it holds, by halves; `most` where there is none below. */
function firstTrue(most: number, holds: (count: number) => boolean): number {
  let low = 0;
  let high = most;
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
