// A lemond that exists only in memory: what it lists in the order of use, which processes run, and one other client that
// loads a model of its own. A model of the real one (DESIGN.md section 2); decides nothing about our slots.
import type { Child } from "../../src/slots/known.ts";
import type { Listing, LoadedModel } from "../../src/lemonade/listing.ts";

/** `loading`: its port says 503. `wedged`: it outlived its lemond; it listens, and answers no chat. */
export type Health = "running" | "loading" | "wedged";

export interface Process {
  readonly pid: number;
  readonly port: number;
  readonly model: string;
  readonly health: Health;
  /** A time of lemond's own. */
  readonly lastUse: number;
}

export interface Lemond {
  isUp: boolean;
  /** How many models it keeps loaded. */
  readonly room: number;
  /** lemond 11.7 takes a child off its list when it has died; 10.6 never does. */
  readonly isNoticing: boolean;
  /** The least recently used first. A process that has ended may still be listed. */
  listed: readonly Process[];
  processes: readonly Process[];
  lastPid: number;
  lastUse: number;
  /** Evicted while we had a connection, which stays open and silent. */
  hanging: readonly number[];
  /** The other client's load: its model takes its room at once, and is listed later. */
  visitor: "absent" | "coming" | "listed";
  visitorUsedMs: number;
  /** The use before that one. */
  visitorUsedBeforeMs: number;
  /** Those that its load evicted. */
  visited: readonly number[];
}

/** The model of the other client. */
export const VISITOR = "visitor";

export const createLemond = (room: number, isNoticing: boolean): Lemond => ({
  isUp: true,
  room,
  isNoticing,
  listed: [],
  processes: [],
  lastPid: 0,
  lastUse: 0,
  hanging: [],
  visitor: "absent",
  visitorUsedMs: 0,
  visitorUsedBeforeMs: 0,
  visited: [],
});

export const isAlive = ({ processes }: Lemond, pid: number | null): boolean =>
  processes.some((process) => process.pid === pid);

export const listedOf = ({ listed }: Lemond, model: string): Process | undefined =>
  listed.find((process) => process.model === model);

export const urlOf = ({ port }: Pick<Process, "port">): string => `http://127.0.0.1:${port}/v1`;

/** What answers when a child is dialled: its process, or where pids cannot be seen the same model at the same port. */
export function serverOf({ processes }: Lemond, child: Child, arePidsVisible: boolean): Process | undefined {
  const at = processes.find((process) => urlOf(process) === child.url);
  if (arePidsVisible) return at?.pid === child.pid ? at : undefined;
  return at && checkpointOf(at.model) === child.checkpoint ? at : undefined;
}

export const checkpointOf = (model: string): string => `${model}.gguf`;

export function start(lemond: Lemond, model: string, health: Health): Process {
  let port = 8001;
  while (lemond.processes.some((process) => process.port === port)) port++;
  const process = { pid: ++lemond.lastPid, port, model, health, lastUse: ++lemond.lastUse };
  lemond.processes = [...lemond.processes, process];
  lemond.listed = [...lemond.listed, process];
  return process;
}

/** Its process has ended; whether it is still listed is lemond's business. */
export function kill(lemond: Lemond, pid: number): void {
  lemond.processes = lemond.processes.filter((process) => process.pid !== pid);
}

/** Stopped and taken off the list. */
export function remove(lemond: Lemond, process: Process): void {
  kill(lemond, process.pid);
  lemond.listed = lemond.listed.filter(({ pid }) => pid !== process.pid);
}

/** Makes room for one more model; returns what was evicted. */
export function makeRoom(lemond: Lemond, model: string): Process[] {
  if (listedOf(lemond, model)) return [];
  const evicted = lemond.listed.slice(0, Math.max(0, lemond.listed.length + 1 - lemond.room));
  for (const process of evicted) evict(lemond, process);
  return evicted;
}

function evict(lemond: Lemond, process: Process): void {
  if (isAlive(lemond, process.pid)) lemond.hanging = [...lemond.hanging, process.pid];
  remove(lemond, process);
}

/** A failed load makes lemond evict every other model. */
export function evictAll(lemond: Lemond): Process[] {
  const evicted = lemond.listed;
  for (const process of evicted) evict(lemond, process);
  return [...evicted];
}

/** Its use is renewed; false: it is not listed, and must be started. */
export function touch(lemond: Lemond, model: string): boolean {
  const listed = listedOf(lemond, model);
  if (!listed) return false;
  const used = { ...listed, lastUse: ++lemond.lastUse };
  lemond.listed = [...lemond.listed.filter((process) => process !== listed), used];
  return true;
}

const OPTIONS = { ctx_size: 4096 };

export function listing(lemond: Lemond, askedAt: number): Listing {
  return {
    kind: "listing",
    askedAt,
    loaded: lemond.listed.map(loadedOf),
    maxModels: { llm: lemond.room },
    modelLoaded: null,
    version: lemond.isNoticing ? "11.7" : "10.6",
    distrusted: [],
  };
}

function loadedOf(process: Process): LoadedModel {
  const { model, pid, lastUse } = process;
  return {
    model,
    url: urlOf(process),
    pid,
    checkpoint: checkpointOf(model),
    type: "llm",
    options: OPTIONS,
    recipe: "llamacpp",
    isReachable: true,
    lastUse,
    isBusy: false,
  };
}
