// How an answer of the simulation is held against a recorded one. It returns what differs, in words; nothing is a pass.
import type { RawReply } from "./raw-client.ts";
import type { Recorded } from "./recording.ts";

export interface Tolerance {
  /** Routes whose recorded bodies say more than the simulation does: what it says must be in them. */
  readonly isSubset: boolean;
}

/** Words of a model, identities, and places: they differ by nature; their type does not. */
const variable = /^(content|text|id|launch_command|backend_url|chat_template|media_marker|model_loaded|delta|size)$/;
/** There for some models and not for others. */
const optional = new Set(["size"]);
/** Numbers that mean something. The other ones are measurements. */
const exactNumbers = /^(code|status_code|index|context_length|ctx_size)$|^max_/;

export function differences(recorded: Recorded, reply: RawReply, tolerance: Tolerance): readonly string[] {
  const found: string[] = [];
  if (recorded.status !== reply.status) found.push(`status: ${recorded.status} recorded, ${reply.status} here`);
  const expected = recorded.headers.map(withoutNumbers).join("\n");
  const actual = reply.headers.map(withoutNumbers).join("\n");
  if (expected !== actual) found.push(`headers recorded:\n${expected}\nhere:\n${actual}`);
  if (recorded.body.includes("data: ")) compareEvents(recorded.body, reply.body, found);
  else compareValues("", jsonOr(recorded.body), jsonOr(reply.body), tolerance, found);
  return found;
}

const withoutNumbers = (line: string): string => line.replace(/^(Content-Length): [1-9]\d*$/, "$1: N").trimEnd();

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON in the recording either: compared as text.
    return text.trim();
  }
}

/** Streams: the sequence of kinds of events, then each kind's shape. How many tokens there are is the model's affair. */
function compareEvents(recorded: string, actual: string, found: string[]): void {
  const [expected, here] = [kindsOf(recorded), kindsOf(actual)];
  const sequence = (events: readonly Event[]): string =>
    events
      .map((event) => event.kind)
      .filter((kind, at, all) => kind !== all[at - 1])
      .join(" ");
  if (sequence(expected) !== sequence(here))
    found.push(`events: ${sequence(expected)} recorded, ${sequence(here)} here`);
  for (const event of here) {
    const same = expected.find((other) => other.kind === event.kind);
    if (same !== undefined) compareValues(event.kind, same.value, event.value, { isSubset: false }, found);
  }
}

interface Event {
  readonly kind: string;
  readonly value: unknown;
}

function kindsOf(stream: string): readonly Event[] {
  const lines = stream.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const value = jsonOr(line.replace(/^data: /, ""));
    const text = JSON.stringify(value);
    const kind = /"error"/.test(text)
      ? "error"
      : /"role"/.test(text)
        ? "role"
        : /"(length|stop)"/.test(text)
          ? "last"
          : /"usage"/.test(text)
            ? "usage"
            : typeof value === "string"
              ? value
              : "token";
    return { kind, value };
  });
}

function compareValues(path: string, recorded: unknown, actual: unknown, tolerance: Tolerance, found: string[]): void {
  const name = path.split(".").at(-1) ?? "";
  if (kindOf(recorded) !== kindOf(actual)) {
    if (!variable.test(name))
      found.push(`${path}: ${JSON.stringify(recorded)} recorded, ${JSON.stringify(actual)} here`);
  } else if (Array.isArray(recorded) && Array.isArray(actual)) {
    const isEmpty = recorded.length === 0 || actual.length === 0;
    if (isEmpty && recorded.length !== actual.length && !variable.test(name))
      found.push(`${path}: one of them is empty`);
    for (const [at, item] of actual.entries())
      if (!isEmpty) compareValues(path, likeOf(item, at, recorded), item, tolerance, found);
  } else if (isRecord(recorded) && isRecord(actual)) {
    const here = Object.keys(actual).filter((key) => !optional.has(key));
    const all = Object.keys(recorded).filter((key) => !optional.has(key));
    const there = tolerance.isSubset ? all.filter((key) => here.includes(key)) : all;
    if (there.join() !== here.join()) found.push(`${path}: keys ${there.join()} recorded, ${here.join()} here`);
    for (const key of there)
      if (key in actual) compareValues(`${path}.${key}`, recorded[key], actual[key], tolerance, found);
  } else if (
    typeof actual === "string" ? !variable.test(name) : typeof actual !== "number" || exactNumbers.test(name)
  ) {
    if (comparable(recorded) !== comparable(actual))
      found.push(`${path}: ${String(recorded)} recorded, ${String(actual)} here`);
  }
}

/** The names of Lemonade's whole catalogue stand in one message. */
const comparable = (value: unknown): unknown =>
  typeof value === "string" ? value.replace(/include: .* more\./, "include: N more.") : value;

const kindOf = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);

const isRecord = (value: unknown): value is Record<string, unknown> => kindOf(value) === "object";

/** The recorded element that an element here stands for: the same model, else the same place. */
function likeOf(item: unknown, at: number, among: readonly unknown[]): unknown {
  for (const key of ["id", "model_name", "checkpoint"]) {
    const same = among.find((other) => isRecord(item) && isRecord(other) && key in item && other[key] === item[key]);
    if (same !== undefined) return same;
  }
  return among[at] ?? among[0];
}
