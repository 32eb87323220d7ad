// What is counted, as Prometheus text. The names are contract; label sets are bounded: a slot, a remote, a route of ours,
// never what a client wrote.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Label } from "../slots/known.ts";
import { SLOT_STATES, type SlotState } from "../slots/transitions.ts";

export interface Metrics {
  /** `upstream` is "" where none was found. */
  requestEnded(upstream: string, route: string, status: number): void;
  firstByte(upstream: string, seconds: number): void;
  upstreamDead(slot: string, error: string): void;
  /** `seconds` is null where nothing was tried (`backed_off`). */
  repaired(slot: string, outcome: Label, seconds: number | null): void;
  /** A load that no loss caused. */
  loaded(slot: string, outcome: Label): void;
  streamInterrupted(upstream: string): void;
  /** What some replies of a slot say of their tokens: sums, and the speed of each that is known. */
  answered(slot: string, tokens: { readonly prompt: number; readonly completion: number }, perSecond: number[]): void;
  /** A fallback of the slot answered. */
  fellBack(slot: string, upstream: string, reason: string): void;
  /** A stream that lost its child: the new one went on with it, would not, or was lost too. */
  streamContinued(slot: string, outcome: "continued" | "refused" | "lost"): void;
  /** The text for a scrape, with what is true now. */
  scrape(now: Gauges): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** What is read at the moment of a scrape. */
export interface Gauges {
  readonly slots: readonly {
    readonly name: string;
    readonly state: SlotState;
    readonly inFlight: number;
    readonly waiting: number;
  }[];
  readonly remotes: readonly { readonly name: string; readonly inFlight: number }[];
  /** `name` is null where there is one lemond only. */
  readonly lemonades: readonly { readonly name: string | null; readonly isUp: boolean }[];
}

const FIRST_BYTE_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const RECOVERY_S = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 300, 600];
const TOKENS_PER_SECOND = [1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 400];

const OBSERVED_AT_ONCE = 100;

interface Ended {
  readonly route: string;
  readonly status: number;
  count: number;
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const named = <L extends string>(name: string, help: string, labelNames: readonly L[]) => ({
    name: `hal0_dispatch_${name}`,
    help,
    labelNames,
    registers,
  });
  const requests = new Counter(
    named("requests_total", "Dispatched requests by the status the client got.", ["upstream", "route", "status"]),
  );
  const dead = new Counter(
    named("upstream_dead_total", "Connections to a slot's child that were lost.", ["slot", "error"]),
  );
  const repairs = new Counter(named("repairs_total", "Repairs by their outcome.", ["slot", "outcome"]));
  const loads = new Counter(named("loads_total", "Loads that no loss caused, by their outcome.", ["slot", "outcome"]));
  const recovery = new Histogram({
    ...named("recovery_seconds", "Time that a repair took.", ["slot"]),
    buckets: RECOVERY_S,
  });
  const firstByte = new Histogram({
    ...named("time_to_first_byte_seconds", "From the arrival of a request to the first byte for its client.", [
      "upstream",
    ]),
    buckets: FIRST_BYTE_S,
  });
  const interrupted = new Counter(
    named("stream_interrupted_total", "Streams that broke off after their first byte.", ["upstream"]),
  );
  const tokens = new Counter(
    named("tokens_total", "Tokens that the replies of a slot say they took.", ["slot", "kind"]),
  );
  const tokensPerSecond = new Histogram({
    ...named("tokens_per_second", "Tokens of an answer a second, by reply.", ["slot"]),
    buckets: TOKENS_PER_SECOND,
  });
  const continued = new Counter(
    named("stream_continued_total", "Cut streams that another child was to go on with.", ["slot", "outcome"]),
  );
  const fallbacks = new Counter(
    named("fallbacks_total", "Requests that a fallback of their slot answered.", ["slot", "upstream", "reason"]),
  );
  const inFlight = new Gauge(named("in_flight", "Requests under way at an upstream.", ["upstream"]));
  const waiting = new Gauge(named("waiting", "Requests held for a slot.", ["slot"]));
  const state = new Gauge(named("slot_state", "1 for the state that the slot is in, else 0.", ["slot", "state"]));
  const lemonadeUp = new Gauge(named("lemonade_up", "1 while lemond answers.", ["lemonade"]));
  const build = new Gauge(named("build_info", "Always 1.", ["version", "bun"]));
  build.set({ version, bun: Bun.version }, 1);

  /** What comes with every request is kept until it is looked at, or is many: one by one it took a twentieth of this thread. */
  const ended = new Map<string, Ended[]>();
  const began = new Map<string, number[]>();
  const count = (): void => {
    for (const [upstream, counts] of ended)
      for (const { route, status, count } of counts.splice(0)) requests.inc({ upstream, route, status }, count);
    for (const [upstream, seconds] of began)
      for (const second of seconds.splice(0)) firstByte.observe({ upstream }, second);
  };

  return {
    requestEnded: (upstream, route, status) => {
      const counts = ended.get(upstream) ?? [];
      if (counts.length === 0) ended.set(upstream, counts);
      for (const known of counts) if (known.route === route && known.status === status) return void known.count++;
      counts.push({ route, status, count: 1 });
    },
    firstByte: (upstream, seconds) => {
      const known = began.get(upstream);
      if (!known) began.set(upstream, [seconds]);
      else if (known.push(seconds) >= OBSERVED_AT_ONCE) count();
    },
    upstreamDead: (slot, error) => dead.inc({ slot, error }),
    repaired: (slot, outcome, seconds) => {
      repairs.inc({ slot, outcome });
      if (seconds !== null) recovery.observe({ slot }, seconds);
    },
    loaded: (slot, outcome) => loads.inc({ slot, outcome }),
    streamInterrupted: (upstream) => interrupted.inc({ upstream }),
    answered: (slot, { prompt, completion }, perSecond) => {
      tokens.inc({ slot, kind: "prompt" }, prompt);
      tokens.inc({ slot, kind: "completion" }, completion);
      for (const speed of perSecond) tokensPerSecond.observe({ slot }, speed);
    },
    fellBack: (slot, upstream, reason) => fallbacks.inc({ slot, upstream, reason }),
    streamContinued: (slot, outcome) => continued.inc({ slot, outcome }),
    scrape: async (now) => {
      count();
      // Gauges are set anew, so that a slot or remote that is gone leaves no last value behind.
      for (const gauge of [inFlight, waiting, state]) gauge.reset();
      for (const slot of now.slots) {
        inFlight.set({ upstream: slot.name }, slot.inFlight);
        waiting.set({ slot: slot.name }, slot.waiting);
        for (const name of SLOT_STATES) state.set({ slot: slot.name, state: name }, slot.state === name ? 1 : 0);
      }
      for (const remote of now.remotes) inFlight.set({ upstream: remote.name }, remote.inFlight);
      for (const { name, isUp } of now.lemonades) lemonadeUp.set(name === null ? {} : { lemonade: name }, isUp ? 1 : 0);
      return { text: await registry.metrics(), contentType: registry.contentType };
    },
  };
}
