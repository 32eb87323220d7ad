// Counts what a campaign saw and prints it: short, with the seed and index that reproduce each violation.
import type { Lemond } from "../lemond/index.ts";
import type { RequestPlan } from "./plan-requests.ts";
import type { Descriptors } from "./target.ts";

export interface Violation {
  readonly seed: number;
  readonly index: number;
  readonly what: string;
  readonly request: RequestPlan | null;
  /** What happened around it. */
  readonly diary: readonly string[];
}

export interface Totals {
  readonly requests: number;
  /** By kind: `whole`, `interrupted`, `left`, `envelope CODE`, … */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly operators: Readonly<Record<string, number>>;
  /** Prompts by how many children got them. */
  readonly attempts: Readonly<Record<string, number>>;
  /** Kept slots that were lost and are back, unasked. */
  readonly keptBack: number;
  /** Heartbeats that clients got. */
  readonly heartbeats: number;
  readonly loads: number;
  readonly unloads: number;
  readonly children: number;
  readonly slowestMs: number;
  readonly violations: readonly Violation[];
}

export type Tally = ReturnType<typeof createTally>;

export function createTally(seed: () => number) {
  const outcomes: Record<string, number> = {};
  const faults: Record<string, number> = {};
  const operators: Record<string, number> = {};
  const attempts: Record<string, number> = {};
  const violations: Violation[] = [];
  let requests = 0;
  let heartbeats = 0;
  let keptBack = 0;
  let loads = 0;
  let unloads = 0;
  let children = 0;
  let slowestMs = 0;
  const count = (of: Record<string, number>, key: string): void => {
    of[key] = (of[key] ?? 0) + 1;
  };
  return {
    ended: (kind: string, tookMs: number): void => {
      requests += 1;
      slowestMs = Math.max(slowestMs, tookMs);
      count(outcomes, kind);
    },
    keptBack: (): void => {
      keptBack += 1;
    },
    beat: (times: number): void => {
      heartbeats += times;
    },
    struck: (kind: string): void => count(faults, kind),
    operated: (action: string, status: number): void => count(operators, `${action} ${status}`),
    attempted: (times: number): void => count(attempts, String(times)),
    violation: (index: number, what: string, request: RequestPlan | null, diary: readonly string[] = []): void => {
      violations.push({ seed: seed(), index, what, request, diary });
    },
    epoch: (lemond: Lemond): void => {
      loads += lemond.loads();
      unloads += lemond.unloads();
      children += lemond.children().length;
    },
    totals: (): Totals => ({
      requests,
      outcomes,
      faults,
      operators,
      attempts,
      heartbeats,
      keptBack,
      loads,
      unloads,
      children,
      slowestMs,
      violations,
    }),
  };
}

export interface Footprint extends Descriptors {
  readonly afterRequests: number;
  readonly rssMb: number;
}

/** RSS after 10,000 and after 100,000 requests; undefined where there were not as many. */
export function judgedRss(footprints: readonly Footprint[]): { early?: Footprint; late?: Footprint } {
  const early = footprints.find(({ afterRequests }) => afterRequests >= 10_000);
  const late = footprints.findLast(({ afterRequests }) => afterRequests >= 100_000);
  return { ...(early ? { early } : {}), ...(late ? { late } : {}) };
}

export const violationText = ({ seed, index, what, request }: Violation): string =>
  `seed ${seed}, request ${index}: ${what}${request ? ` ${JSON.stringify(request)}` : ""}`;

export function reportText(totals: Totals, footprints: readonly Footprint[], durationS: number): string {
  const listed = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .sort(([, a], [, b]) => b - a)
      .map(([key, times]) => `${key} ${times}`)
      .join(", ");
  const { violations } = totals;
  const lines = [
    `requests    ${totals.requests} in ${durationS.toFixed(1)} s, slowest ${(totals.slowestMs / 1000).toFixed(1)} s`,
    `outcomes    ${listed(totals.outcomes)}`,
    `attempts    ${listed(totals.attempts)}`,
    `heartbeats  ${totals.heartbeats}`,
    `kept slots  ${totals.keptBack} times back unasked`,
    `faults      ${listed(totals.faults)}`,
    `operators   ${listed(totals.operators)}`,
    `lemond      ${totals.loads} loads, ${totals.unloads} unloads, ${totals.children} children`,
    ...footprints.map(
      ({ afterRequests, rssMb, files, clients, upstreams }) =>
        `server      after ${afterRequests}: RSS ${rssMb.toFixed(1)} MB, ${files} files, sockets: ${clients} clients, ${upstreams} upstreams`,
    ),
    ...(judgedRss(footprints).late ? [] : ["server      growth of RSS not judged: that takes 100,000 requests"]),
    `violations  ${violations.length}`,
    ...violations.slice(0, 40).map((violation) => `  ${violationText(violation)}`),
  ];
  return `${lines.join("\n")}\n`;
}
