// Log lines: JSON, or text for a person at a terminal. Each has a time, a level, an event, then the fields of the event.
// Decides nothing; never sees a body or a key.
import type { LogLevel } from "../config/config.ts";

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export type Fields = Readonly<Record<string, unknown>>;
export type LogFormat = "json" | "text";

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** Changes the lowest level that is written (configuration reload). */
  setLevel(level: LogLevel): void;
  setFormat(format: LogFormat): void;
  /** How many lines there were so far, and those lines after the first `count` that are still remembered, oldest first. */
  after(count: number): { readonly count: number; readonly lines: readonly LogLine[] };
}

/** One line, with the fields of its event. */
export interface LogLine {
  readonly ts: string;
  readonly level: LogLevel;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Takes one finished line, which ends in a newline. False: it was refused, since nobody reads. */
export type LineWriter = (line: string) => boolean | void;

/** The last lines, for the page. */
const REMEMBERED = 1000;

/** A log that passes finished lines to `write`. Lines that it refused are counted, and the next one that it takes says how many. */
export function createLog(level: LogLevel, write: LineWriter, format: LogFormat = "json"): Log {
  let lowest = RANK[level];
  let lineOf = FORMATS[format];
  let dropped = 0;
  let count = 0;
  let last: {
    readonly atMs: number;
    readonly level: LogLevel;
    readonly event: string;
    readonly fields?: Fields | undefined;
  }[] = [];
  const put = (name: LogLevel, event: string, fields: Fields | undefined): void => {
    count++;
    const atMs = Date.now();
    last.push({ atMs, level: name, event, fields });
    // Many at a time: one by one would move them all for each line.
    if (last.length >= 2 * REMEMBERED) last = last.slice(-REMEMBERED);
    if (dropped > 0 && write(lineOf(atMs, "warn", "log.dropped", { lines: dropped })) !== false) dropped = 0;
    if (write(lineOf(atMs, name, event, fields)) === false) dropped += 1;
  };
  const at =
    (name: LogLevel) =>
    (event: string, fields?: Fields): void => {
      if (RANK[name] >= lowest) put(name, event, fields);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    setLevel: (next) => {
      lowest = RANK[next];
    },
    setFormat: (next) => {
      lineOf = FORMATS[next];
    },
    after: (known) => ({
      count,
      lines: last
        .slice(Math.max(0, last.length - Math.min(count - known, REMEMBERED)))
        .map(({ atMs, level, event, fields }) => ({
          ts: new Date(atMs).toISOString(),
          level,
          event,
          ...fields,
        })),
    }),
  };
}

const FORMATS: Record<LogFormat, (atMs: number, level: LogLevel, event: string, fields?: Fields) => string> = {
  // The fields are written apart: to copy them into one object first would cost as much as the rest.
  json: (atMs, level, event, fields = {}) => {
    const rest = JSON.stringify(fields);
    return `{"ts":"${new Date(atMs).toISOString()}","level":"${level}","event":"${event}"${rest === "{}" ? "" : `,${rest.slice(1, -1)}`}}\n`;
  },
  text: (atMs, level, event, fields = {}) => {
    const time = new Date(atMs).toTimeString().slice(0, 8);
    const words = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${textOf(value)}`],
    );
    return `${[time, level.padEnd(5), event, ...words].join(" ")}\n`;
  },
};

/** As it is where a reader can tell its end, else as JSON writes it: on one line, whatever is in it. */
const textOf = (value: unknown): string =>
  typeof value === "string" && /^[\w./:@+*-]+$/.test(value) ? value : JSON.stringify(value);

/** Most characters that wait for the reader of the log. */
const MOST_WAITING = 1024 * 1024;

/**
 * Writes the lines of one turn of the event loop together: a write for each request would cost a tenth of its time.
 * Where nobody reads them, 1 MB waits at most; lines beyond that are refused until half of it has been read.
 */
export function createLineWriter(stream: NodeJS.WriteStream): LineWriter {
  let lines = "";
  let waiting = 0;
  let isFull = false;
  const flush = (): void => {
    const { length } = lines;
    waiting += length;
    stream.write(lines, () => {
      waiting -= length;
      isFull &&= waiting > MOST_WAITING / 2;
    });
    lines = "";
  };
  // A log reader that went away must not end the server.
  stream.on("error", () => {});
  process.on("exit", flush);
  return (line) => {
    isFull ||= waiting + lines.length > MOST_WAITING;
    if (isFull) return false;
    if (lines === "") setImmediate(flush);
    lines += line;
    return true;
  };
}
