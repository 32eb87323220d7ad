// What one value of the configuration may be, and how a fault in it is said. Pure; knows nothing of sections or files.
import { isIPv4, isIPv6 } from "node:net";
import * as v from "valibot";
import { isTable, type Table } from "./toml.ts";

/** Timers take 2^31 - 1 ms; this is 11.5 days. */
const MAX_SECONDS = 1_000_000;
const BYTES_PER_MB = 1024 * 1024;

/** A message that ends with the offending value. Not for anything that may be a secret: see `hushed`. */
const expected = (what: string) => (issue: v.BaseIssue<unknown>) => `expected ${what}, got ${shown(issue.input)}`;
/** The same for values that may be secret: the kind of value at most. */
const hushed = (what: string) => (issue: v.BaseIssue<unknown>) =>
  typeof issue.input === "string" ? `expected ${what}` : `expected ${what}, got ${kindOf(issue.input)}`;

const string = (what: string, isRight: (text: string) => boolean, say = expected) =>
  v.pipe(v.string(say(what)), v.check(isRight, say(what)));
const number = (what: string, isRight: (value: number) => boolean) =>
  v.pipe(v.number(expected(what)), v.check(isRight, expected(what)));
/** valibot's array schema, with a message that cannot repeat the elements. */
const list = <S extends v.GenericSchema>(what: string, item: S) => v.array(item, hushed(what));

const within = (from: number, to: number) => (value: number) => value >= from && value <= to;
const whole = (from: number, to: number) =>
  number(`a whole number from ${from} to ${to}`, (value) => Number.isInteger(value) && within(from, to)(value));

/** Seconds in the file, milliseconds after; `least` is 0 where nothing or "never" is a choice. */
export const seconds = (least: number) =>
  v.pipe(
    number(`seconds, a number from ${least} to ${MAX_SECONDS}`, within(least, MAX_SECONDS)),
    // A positive time must not round to 0, which means "none" or "never".
    v.transform((value) => (value === 0 ? 0 : Math.max(1, Math.round(value * 1000)))),
  );

export const port = whole(0, 65535);
/** The same from a flag or the environment. */
export const portText = v.pipe(
  v.string(),
  v.transform((text) => (/^\d{1,9}$/.test(text) ? Number(text) : text)),
  port,
);
export const count = whole(1, 1_000_000);
export const contextSize = whole(0, 1_000_000_000);
export const megabytes = v.pipe(
  number("megabytes, a number above 0 up to 4096", (value) => value > 0 && value <= 4096),
  v.transform((value) => Math.ceil(value * BYTES_PER_MB)),
);
export const flag = v.boolean(expected("true or false"));
export const oneOf = <const T extends readonly string[]>(choices: T) =>
  v.picklist(choices, expected(`one of ${choices.map((choice) => `"${choice}"`).join(", ")}`));
export const logLevel = oneOf(["debug", "info", "warn", "error"]);
export const path = string("a path", (text) => text !== "" && !text.includes("\0"));
export const anyList = v.array(v.unknown(), expected("a list"));
export const table = v.custom<Table>(isTable, expected("a table"));

/** A model, an alias or a pattern: what a client may write in `model`. */
export const modelName = string("a name without spaces around it", (text) =>
  /^[^\s\p{C}]([^\p{C}]*[^\s\p{C}])?$/u.test(text),
);
export const modelNames = list("a list of names", modelName);

export const someModelNames = v.pipe(modelNames, v.nonEmpty("expected at least one name or pattern"));

/** Options of lemond's load, sent as they are: whatever survives JSON, which has no inf, nan or dates. */
export const loadOptions = v.custom<Table>(
  (value) => isTable(value) && isJson(value),
  expected("a table of texts, numbers, true, false, lists and tables"),
);

/** Slots and remotes: their names stand in URLs, headers and labels of metrics. */
export const upstreamName = string("a name of 1 to 64 letters, digits, '.', '_' or '-'", (text) =>
  /^[\w.-]{1,64}$/.test(text),
);

/** An API key: what a header can carry, without spaces. */
export const isKey = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);
export const keys = list("a list of API keys", v.string(hushed("an API key")));

/** The name of a variable. People paste the key itself here, so the value is never repeated. */
export const envName = string(
  "the name of an environment variable (not a key)",
  (text) => /^[A-Za-z_]\w*$/.test(text),
  hushed,
);

/** A URL's value is never repeated either: keys are pasted into URLs too. */
const url = (what: string, isRight: (url: URL) => boolean) =>
  string(
    what,
    (text) => {
      if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
      const { username, password, search, hash } = new URL(text);
      return username + password + search + hash === "" && isRight(new URL(text));
    },
    hushed,
  );

export const originUrl = v.pipe(
  url("an http:// or https:// URL without path, user or query", (url) => url.pathname === "/"),
  v.transform((text) => new URL(text).origin),
);
export const baseUrl = v.pipe(
  url("an http:// or https:// URL without user or query", () => true),
  v.transform((text) => new URL(text).origin + new URL(text).pathname.replace(/\/+$/, "")),
);

const isHost = (text: string): boolean =>
  isIPv4(text) || isIPv6(text) || /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?$/i.test(text);
const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1").toLowerCase();

/** What to listen on. An empty host would be every address, so it is a fault. */
export const bindHost = v.pipe(
  string("a host name or IP address", (text) => isHost(bare(text))),
  v.transform(bare),
);

/** A `Host` header's value: name or address, with a port or without, in small letters. */
export const allowedHosts = list(
  "a list of host names",
  v.pipe(
    string("a host name, with or without a port", (text) => isHost(bare(text.replace(/(?<=^[^:]*|\]):\d{1,5}$/, "")))),
    v.toLowerCase(),
  ),
);

/** An `Origin` header's value, or `*`. Apps have schemes of their own (`tauri://localhost`), whose URL.origin is "null". */
export const corsOrigins = list(
  "a list of origins",
  v.pipe(
    string(
      'an origin such as "https://chat.example", or "*"',
      (text) => text === "*" || /^[a-z][a-z0-9+.-]*:\/\/[^/\s?#@\\]+\/?$/i.test(text),
    ),
    v.transform((text) =>
      /^https?:/i.test(text) && URL.canParse(text) ? new URL(text).origin : text.toLowerCase().replace(/\/$/, ""),
    ),
  ),
);

/** A value as a fault may show it: short, and one line. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value);
}

function isJson(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isJson);
  return isTable(value) ? Object.values(value).every(isJson) : typeof value !== "object";
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value !== "object") return `a ${typeof value}`;
  return isTable(value) ? "a table" : "a date or time";
}
