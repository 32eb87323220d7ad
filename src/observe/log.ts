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

/** Takes finished lines, each of which ends in a newline. False: they were refused, since nobody reads. */
export type LineWriter = (lines: string) => boolean | void;

/** One line before it is written. */
interface Event {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Fields | undefined;
}

/** Lines that were written together, as JSON; `end`: how many lines there were by then. */
interface Written {
  readonly json: string;
  readonly end: number;
}

/** The last lines, for the page. */
const REMEMBERED = 1000;

/**
 * A log that passes finished lines to `write`: each at once, or, with `later`, those of one turn of the event loop together,
 * since one by one they took a tenth of a request's time. Refused lines are counted, and the next that pass say how many.
 */
export function createLog(
  level: LogLevel,
  write: LineWriter,
  format: LogFormat = "json",
  later: ((write: () => void) => void) | null = null,
): Log {
  let lowest = RANK[level];
  let lineOf = FORMATS[format];
  let dropped = 0;
  let count = 0;
  /** As text: objects would be marked again and again by the collector, which cost more than all that is said here. */
  let last: Written[] = [];
  let due: Event[] = [];
  const writeDue = (): void => {
    if (due.length === 0) return;
    const events = due;
    due = [];
    const json = events.map(FORMATS.json).join("");
    last.push({ json, end: count });
    // Many at a time: one by one would move them all for each line.
    if (last.length >= 2 * REMEMBERED || count - (last[0]?.end ?? 0) >= 2 * REMEMBERED)
      last = last.filter(({ end }) => end > count - REMEMBERED);
    const lines = lineOf === FORMATS.json ? json : events.map(lineOf).join("");
    if (dropped > 0 && write(lineOf(droppedLines(dropped))) !== false) dropped = 0;
    if (write(lines) === false) dropped += events.length;
  };
  // What was said last is not lost.
  if (later) process.on("exit", writeDue);
  const put = (name: LogLevel, event: string, fields: Fields | undefined): void => {
    count++;
    if (due.push({ atMs: Date.now(), level: name, event, fields }) > 1) return;
    if (later) later(writeDue);
    else writeDue();
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
    after: (known) => {
      writeDue();
      const from = Math.max(known, count - REMEMBERED);
      const json = last.filter(({ end }) => end > from).map(({ json }) => json);
      const lines = json.join("").split("\n").slice(0, -1);
      return { count, lines: lines.slice(lines.length - (count - from)).map((line) => JSON.parse(line)) };
    },
  };
}

const droppedLines = (lines: number): Event => ({
  atMs: Date.now(),
  level: "warn",
  event: "log.dropped",
  fields: { lines },
});

const FORMATS: Record<LogFormat, (event: Event) => string> = {
  // The fields are written apart: to copy them into one object first would cost as much as the rest.
  json: ({ atMs, level, event, fields = {} }) => {
    const rest = JSON.stringify(fields);
    return `{"ts":"${new Date(atMs).toISOString()}","level":"${level}","event":"${event}"${rest === "{}" ? "" : `,${rest.slice(1, -1)}`}}\n`;
  },
  text: ({ atMs, level, event, fields = {} }) => {
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

/** Where nobody reads the lines, 1 MB waits; more are refused until half of it has been read. */
export function createLineWriter(stream: NodeJS.WriteStream): LineWriter {
  let waiting = 0;
  let isFull = false;
  // A log reader that went away must not end the server.
  stream.on("error", () => {});
  return (lines) => {
    isFull ||= waiting > MOST_WAITING;
    if (isFull) return false;
    const { length } = lines;
    waiting += length;
    stream.write(lines, () => {
      waiting -= length;
      isFull &&= waiting > MOST_WAITING / 2;
    });
    return true;
  };
}
