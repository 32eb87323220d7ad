// Runs a campaign: one server process, the epochs of each seed in front of it, and what the process holds at the end.
import { runEpoch, startEpochLemond } from "./epoch.ts";
import { configText } from "./configured.ts";
import { watchKept } from "./kept.ts";
import { startElsewhere } from "./elsewhere.ts";
import { runCrowd } from "./crowd.ts";
import { type EpochPlan, planCampaign } from "./plan.ts";
import type { CrowdPlan } from "./plan-crowds.ts";
import { createTally, type Footprint, judgedRss, type Totals, violationText } from "./report.ts";
import { startTarget, type Target } from "./target.ts";

export interface CampaignOptions {
  readonly seeds: readonly number[];
  /** Of each seed. */
  readonly requests: number;
  readonly binary: string | null;
  readonly onProgress: (text: string) => void;
  /** Takes each line of the server's log. */
  readonly onLine: (line: string) => void;
}

export interface Campaign {
  readonly totals: Totals;
  readonly footprints: readonly Footprint[];
  readonly durationS: number;
}

const HOLD_MS = 12_000;
const FOOTPRINT_EVERY = 10_000;
/** What RSS may grow by between 10,000 and 100,000 requests. */
const GROWTH_MB = 20;
const REST_MS = 5000;

export async function runCampaign({ seeds, requests, binary, onProgress, onLine }: CampaignOptions): Promise<Campaign> {
  const startedMs = performance.now();
  let seed = seeds[0] ?? 1;
  const tally = createTally(() => seed);
  const footprints: Footprint[] = [];
  let port = 0;
  let target: Target | null = null;
  let done = 0;
  let last = 0;
  let told = 0;
  await using elsewhere = startElsewhere();
  const targetOf = (lemondUrl: string): Promise<Target> => {
    const places = { lemondUrl, remoteUrl: elsewhere.url, holdMs: HOLD_MS };
    return startTarget({ text: (slots) => configText(places, slots), binary, onLine });
  };
  let isOver = false;
  const kept = watchKept({ seed, binary, onLine, tally }, () => isOver);
  const crowd = async (frame: EpochPlan, plan: CrowdPlan, seed: number, index: number): Promise<void> => {
    await using lemond = await startEpochLemond(frame, 0);
    const own = await targetOf(lemond.url);
    await runCrowd({ plan, seed, index, target: own, lemond, holdMs: HOLD_MS, tally });
  };
  campaign: for (seed of seeds) {
    for (const plan of planCampaign(seed, requests).epochs) {
      const epochMs = performance.now();
      await using lemond = await startEpochLemond(plan, port);
      port = lemond.port;
      target ??= await targetOf(lemond.url);
      last = plan.steps.at(-1)?.index ?? 0;
      try {
        await runEpoch({ plan, seed, target, lemond, holdMs: HOLD_MS, tally });
      } catch (error) {
        if (target.isUp()) throw error;
        break campaign; // What was seen until then is told, and how it ended.
      }
      done += plan.steps.length;
      if (plan.crowd) await crowd(plan, plan.crowd, seed, last);
      const { violations } = tally.totals();
      const tookS = (performance.now() - epochMs) / 1000;
      const about = `${plan.version}, max ${plan.maxModels}, ports ${plan.ports}, pids ${plan.pids}`;
      for (const violation of violations.slice(told))
        onProgress([violationText(violation), ...violation.diary].join("\n    "));
      told = violations.length;
      onProgress(`seed ${seed} (${about}): ${done} requests, ${tookS.toFixed(1)} s, ${violations.length} violations`);
      const isDue = Math.floor(done / FOOTPRINT_EVERY) > Math.floor((done - plan.steps.length) / FOOTPRINT_EVERY);
      if (footprints.length === 0 || isDue) footprints.push(footprintOf(target, done));
    }
  }
  isOver = true;
  await kept;
  if (target) {
    const { faults } = target;
    if (target.isUp()) {
      footprints.push(await footprintAtRest(target, done));
      for (const fault of faultsAtEnd(footprints)) tally.violation(last, fault, null);
    } else tally.violation(last, "the server ended by itself", null);
    const code = await target.stop();
    if (code !== 0) tally.violation(last, `the server ended with exit code ${code}`, null);
    for (const fault of [...faults, ...elsewhere.faults]) tally.violation(last, fault, null);
  }
  return { totals: tally.totals(), footprints, durationS: (performance.now() - startedMs) / 1000 };
}

function footprintOf(target: Target, afterRequests: number): Footprint {
  return { afterRequests, rssMb: target.rssBytes() / 1_048_576, ...target.descriptors() };
}

/** Lemond and its children are gone: a moment later nothing may be open to them. */
async function footprintAtRest(target: Target, afterRequests: number): Promise<Footprint> {
  const deadline = performance.now() + REST_MS;
  for (;;) {
    const footprint = footprintOf(target, afterRequests);
    if (footprint.upstreams + footprint.abandoned === 0 || performance.now() > deadline) return footprint;
    await Bun.sleep(100);
  }
}

function faultsAtEnd(footprints: readonly Footprint[]): string[] {
  const faults: string[] = [];
  const first = footprints[0];
  const last = footprints.at(-1);
  if (!first || !last) return ["nothing was measured"];
  if (last.upstreams > 0) faults.push(`${last.upstreams} sockets to lemond or a child are left`);
  if (last.abandoned > 0) faults.push(`${last.abandoned} sockets of clients that have left are open`);
  // Each slot keeps one file of its child's process open, and one of the child last found dead.
  if (last.files > first.files + 6) faults.push(`${last.files} files open, ${first.files} after the first epoch`);
  const { early, late } = judgedRss(footprints);
  if (early && late && late.rssMb > early.rssMb + GROWTH_MB)
    faults.push(`RSS grew from ${early.rssMb.toFixed(1)} to ${late.rssMb.toFixed(1)} MB`);
  return faults;
}
