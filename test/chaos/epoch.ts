// Runs one epoch: a lemond of its own on the port that the server knows, requests in flight while faults strike, then calm:
// nothing in flight, nothing waiting, every slot serves.
import { startLemond, type Child, type Lemond } from "../lemond/index.ts";
import { ask } from "./client.ts";
import { createStriker, type Striker } from "./faults.ts";
import { judge, mayLose, slotsFor } from "./judge.ts";
import { createDiary } from "./diary.ts";
import { notCalm, notServed, slotsShown } from "./calm.ts";
import { createLedger, isYoung, slotOf } from "./ledger.ts";
import { type EpochPlan, namesOf, SLOT_MODELS, SPEECH, type SlotName, type Step } from "./plan.ts";
import { heartbeatsIn } from "./sse-text.ts";
import { promptOf, type Prompt } from "./prompts.ts";
import type { Tally } from "./report.ts";
import type { Target } from "./target.ts";
import { createWeather } from "./weather.ts";

export interface EpochOptions {
  readonly plan: EpochPlan;
  readonly seed: number;
  readonly target: Target;
  readonly lemond: Lemond;
  readonly holdMs: number;
  readonly tally: Tally;
}

const SLOTS = Object.keys(SLOT_MODELS) as SlotName[];
const MODELS = Object.values(SLOT_MODELS).flat();
const LOAD_MS = 40;
const IN_FLIGHT = 16;
/** When nothing has ended for so long, everything waits for a fault: it is taken back. */
const STALL_MS = 250;
/** Requests between two looks for slots that back off. */
const RESCUE_STEPS = 20;
/** Evidence that a port refused is acted on within this time. */
const SICK_MS = 1500;
/** A child's end is told to us later than to the server: what looks needless is judged again. */
const SECOND_LOOK_MS = 800;
/** A client that got an error thinks before another one comes: errors are quick, and would use up the campaign. */
const ERROR_PAUSE_MS = 40;
/** What the server has done it has logged, and the line has been read. */
const LOG_MS = 50;

export function startEpochLemond(plan: EpochPlan, port: number): Promise<Lemond> {
  const { version, maxModels, ports, pids, warmMs, idleEvictMs } = plan;
  return startLemond({
    version,
    maxModels,
    ports,
    pids,
    warmMs,
    port,
    loadMs: LOAD_MS,
    unloadMs: 20,
    graceMs: 200,
    ...(idleEvictMs === null ? {} : { idleEvictMs }),
    models: Object.entries(SLOT_MODELS).flatMap(([slot, models]) =>
      models.map((id) => ({ id, type: slot === "embed" ? "embedding" : "llm", chat: SPEECH[id] ?? {} }) as const),
    ),
  });
}

export async function runEpoch(options: EpochOptions): Promise<void> {
  const { plan, seed, target, lemond, holdMs, tally } = options;
  const { url } = target;
  const touchedBefore = new Map(MODELS.map((model) => [model, target.touches(model)]));
  const sick = new Map<Child, number>();
  const diary = createDiary(target, lemond);
  const isSick = (child: Child): boolean => performance.now() - (sick.get(child) ?? -Infinity) < SICK_MS;
  const ledger = createLedger(
    lemond,
    (child) => isSick(child) || weather.isActing(slotOf(child.model)),
    (model) => target.touches(model) - (touchedBefore.get(model) ?? 0),
    (child) => {
      const { model, pid, port, requests } = child;
      diary.note(`the child of ${model} ended: pid ${pid}, port ${port}, ${requests.length} requests`);
      // Its end may have hit a load that was not over yet, whoever caused it.
      if (isYoung(child)) weather.failsLoad(slotOf(model));
    },
  );
  const weather = createWeather(ledger, holdMs);
  const sent: { readonly step: Step; readonly prompt: Prompt }[] = [];
  const underWay = new Set<Promise<void>>();
  let endedAtMs = performance.now();

  const operate = async (slot: SlotName, action: string, model: string | null): Promise<void> => {
    const response = await fetch(`${url}/api/slots/${slot}/${action}`, {
      method: "POST",
      body: model === null ? null : JSON.stringify({ model }),
    });
    tally.operated(action, response.status);
    await response.arrayBuffer();
  };
  const striker = createStriker({ lemond, ledger, weather, loadMs: LOAD_MS, sick, operate });

  const serve = async (step: Step): Promise<void> => {
    const { index, request } = step;
    const prompt = promptOf(request, seed, index);
    sent.push({ step, prompt });
    const marks = new Map(SLOTS.map((slot) => [slot, weather.mark(slot)]));
    const beganMs = performance.now();
    const sentMs = Date.now();
    const answer = await ask(url, request, prompt);
    const tookMs = performance.now() - beganMs;
    const seen = (slot: SlotName) => weather.since(marks.get(slot) ?? weather.mark(slot), slot, tookMs);
    endedAtMs = performance.now();
    switch (answer.kind) {
      case "left":
        return tally.ended("left", tookMs);
      case "hung":
        tally.violation(index, "hung", request);
        return tally.ended("hung", tookMs);
      case "no-answer":
        // Bytes that are neither SSE nor JSON have no words for a loss: their connection breaks, at times before the headers left.
        if (request.reply.kind === "bytes" && slotsFor(request.slot).some((slot) => mayLose(request, seen(slot))))
          return tally.ended("broken-off", tookMs);
        tally.violation(index, `no answer: ${answer.error}`, request);
        return tally.ended("no-answer", tookMs);
      case "received": {
        const { received } = answer;
        const requestId = received.headers.get("x-request-id");
        tally.beat(heartbeatsIn(received.body));
        const look = () => judge({ plan: request, prompt, received, told: target.told(requestId), seen });
        if (received.status !== 200) await Bun.sleep(ERROR_PAUSE_MS);
        let verdict = look();
        if (verdict.fault !== null) {
          await Bun.sleep(SECOND_LOOK_MS);
          verdict = look();
        }
        const mark = marks.get(request.slot);
        if (mark && (verdict.kind === "whole" || verdict.kind === "continued")) weather.served(request.slot, mark);
        if (verdict.fault !== null) {
          const around = { names: namesOf(slotsFor(request.slot)), requestId, sentMs };
          tally.violation(index, verdict.fault, request, diary.around(around));
        }
        return tally.ended(verdict.code === null ? verdict.kind : `${verdict.kind} ${verdict.code}`, tookMs);
      }
    }
  };

  const send = (step: Step): void => {
    const work: Promise<void> = serve(step)
      .catch((error: unknown) => tally.violation(step.index, `the campaign failed: ${String(error)}`, step.request))
      .finally(() => underWay.delete(work));
    underWay.add(work);
  };

  const quiet = async (): Promise<void> => {
    while (underWay.size > 0) await makeRoom(striker, underWay, () => performance.now() - endedAtMs);
    striker.pass(Infinity);
    await striker.settled();
  };

  for (const step of plan.steps) {
    while (underWay.size >= IN_FLIGHT) await makeRoom(striker, underWay, () => performance.now() - endedAtMs);
    striker.pass(step.index);
    for (const fault of step.faults) {
      // Traffic would find the dead child before its port is another's: nobody asks while that happens.
      const isQuiet = fault.kind === "port-takeover";
      if (isQuiet) await quiet();
      const hasStruck = await striker.strike(fault, step.index);
      if (hasStruck) tally.struck(fault.kind);
      diary.note(`fault ${JSON.stringify(fault)}${hasStruck ? "" : ", which struck nothing"}`);
      if (isQuiet) await striker.settled();
    }
    if (step.index % RESCUE_STEPS === 0)
      for (const { state, model } of await slotsShown(url)) if (state === "error") striker.rescue(model);
    send(step);
    // One macro-task: requests arrive one after the other, not in one heap.
    await Bun.sleep(0);
  }
  await quiet();
  striker.heal();

  const last = plan.steps.at(-1)?.index ?? 0;
  for (const fault of await notCalm(url)) tally.violation(last, fault, null);
  for (const slot of SLOTS) {
    for (const model of SLOT_MODELS[slot]) ledger.allowLoad(model);
    const end = weather.begin("operator", slot);
    const fault = await notServed(url, slot, plan.steps.length);
    end();
    if (fault !== null) tally.violation(last, fault, null);
  }
  for (const { step, prompt } of sent) {
    const { slot } = step.request;
    tally.attempted(ledger.attemptsOf(prompt.sha256).get(slot) ?? 0);
    for (const fault of ledger.faultsOfAttempts(prompt.sha256, slot)) tally.violation(step.index, fault, step.request);
  }
  await Bun.sleep(LOG_MS);
  for (const fault of ledger.close()) tally.violation(last, fault, null);
  tally.epoch(lemond);
}

/** Resolves when a request has ended, or a fault was taken back because none does. */
async function makeRoom(
  striker: Striker,
  underWay: ReadonlySet<Promise<void>>,
  sinceEndMs: () => number,
): Promise<void> {
  const timer = Promise.withResolvers<void>();
  const waiting = setTimeout(timer.resolve, STALL_MS);
  await Promise.race([...underWay, timer.promise]);
  clearTimeout(waiting);
  if (sinceEndMs() >= STALL_MS) striker.pass(Infinity);
}
