// One JSON object a line: ts, level, event, then the fields of the event. Decides nothing; never sees a body or a key.
import type { LogLevel } from "../config/config.ts";

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** Changes the lowest level that is written (configuration reload). */
  setLevel(level: LogLevel): void;
}

/** Writes the lines of one turn of the event loop together: a write for each request would cost a tenth of its time. */
export function createLineWriter(stream: NodeJS.WriteStream): (line: string) => void {
  let lines = "";
  const flush = (): void => {
    stream.write(lines);
    lines = "";
  };
  // A log reader that went away must not end the server.
  stream.on("error", () => {});
  process.on("exit", flush);
  return (line) => {
    if (lines === "") setImmediate(flush);
    lines += line;
  };
}

/** A log that passes finished lines, each ending in a newline, to `write`. */
export function createLog(level: LogLevel, write: (line: string) => void): Log {
  let lowest = RANK[level];
  const at =
    (name: LogLevel) =>
    (event: string, fields?: Fields): void => {
      if (RANK[name] < lowest) return;
      write(`${JSON.stringify({ ts: new Date().toISOString(), level: name, event, ...fields })}\n`);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    setLevel: (next) => {
      lowest = RANK[next];
    },
  };
}
