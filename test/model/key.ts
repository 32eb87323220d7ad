// What makes two worlds the same: times as seen from now, children and processes by first appearance, questions by whether
// their answers would still count, requests by how they stand. What only logs and people read is left out.
import type { Child, Job, SlotRecord } from "../../src/slots/known.ts";
import { GRID_MS } from "./happen.ts";
import type { Pending, World } from "./world.ts";
import { found } from "../../src/slots/table.ts";

/** Times further ahead are all alike. */
const FAR_MS = 100_000;

/** The same for two worlds if whatever can happen in one can happen in the other. */
export function keyOf(world: World): string {
  const { known, lemond, nowMs } = world;
  const slots = [...known.slots.values()];
  const children = [...known.children.values()];

  /** Timers ring on the grid, so what lies between two of its moments is one of them. */
  const until = (ms: number): number => Math.ceil(Math.min(FAR_MS, Math.max(0, ms - nowMs)) / GRID_MS);
  const since = (ms: number, mostMs = FAR_MS): number => Math.min(mostMs, nowMs - ms);

  const pids = new Map<number, number>();
  const pidKey = (pid: number | null): string => {
    if (pid === null) return "-";
    const number = pids.get(pid) ?? pids.size;
    pids.set(pid, number);
    return `${number}`;
  };
  const numbers = new Map<number, number>();
  const childKey = (id: number | null): string => {
    if (id === null) return "-";
    const number = numbers.get(id);
    if (number !== undefined) return `${number}`;
    numbers.set(id, numbers.size);
    const child = known.children.get(id);
    return child ? describe(child) : "gone";
  };
  const describe = ({ url, pid, checkpoint, misses, examination, isEvicted, listedAt }: Child): string => {
    let later = 0;
    for (const { id } of children) if (id > listedAt) later++;
    return `(${url}${checkpoint}${pidKey(pid)}m${misses}${examination !== null}${isEvicted}${later})`;
  };
  /** lemond's times count only by whether they have moved since they were listed. */
  const lastUseOf = (model: string): number | null => {
    for (const process of lemond.listed) if (process.model === model) return process.lastUse;
    return null;
  };
  const place = (slot: number): number => slots.findIndex(({ id }) => id === slot);

  const jobKey = (job: Job): string => {
    const { stage, order, question } = job;
    let key = `${stage}${job.isOnDemand}${job.isKeeping}${childKey(job.suspect)}${job.lemond}${job.child}${job.reported}`;
    if (order) key += `o${order.id}${order.isTakingDown ? until(job.startedMs + known.settings.drainMs) : ""}`;
    if (stage !== "turn" && stage !== "draining") key += `u${until(job.untilMs)}`;
    key += question === null ? `a${until(job.againMs)}` : "q";
    if (stage === "draining" || stage === "newcomer" || stage === "room") key += `s${until(job.stageUntilMs)}`;
    if (stage === "newcomer" && job.newcomer) key += `n${newcomerKey(job.newcomer)}`;
    key += `l${job.loads}${job.fault !== null}${job.hasRoom}${job.isContested}${childKey(job.fresh?.child ?? null)}${job.fresh?.isGone}`;
    return job.refusedSinceMs === null ? key : `${key}r${since(job.refusedSinceMs)}`;
  };
  const newcomerKey = ({ url, lastUse, sinceMs }: NonNullable<Job["newcomer"]>): string =>
    `${url}${lemond.listed.some((process) => process.lastUse === lastUse)}${since(sinceMs)}`;

  const slotKey = (slot: SlotRecord): string => {
    const { last, backOff, keepBackOff, config } = slot;
    let key = `;${slot.name},${slot.model},${slot.state}${slot.isLeaving}${slot.isDismissed}${slot.isAlias}`;
    key += `${childKey(slot.child)}/${childKey(slot.dead)}/${last ? last.url + pidKey(last.pid) : ""}`;
    key += `${slot.seen !== null}b${backOff.delayMs}.${until(backOff.untilMs)}`;
    if (config.keep) key += `k${keepBackOff.delayMs}.${until(keepBackOff.untilMs)}.${since(slot.adoptedMs)}`;
    if (slot.state === "ready" && config.idleAfterMs < FAR_MS)
      key += `i${since(Math.max(slot.sinceMs, slot.lastUsedMs ?? 0), config.idleAfterMs)}`;
    if (known.settings.touchMs > 0) key += `t${slot.isUsedSinceTouch}${until(slot.touchDueMs)}`;
    return slot.job ? key + jobKey(slot.job) : key;
  };

  const requestKey = (id: number): string => {
    const asked = world.asked[id];
    const fate = world.requests[id];
    const name = asked && ("model" in asked ? asked.model : `${asked.slot}!`);
    if (fate === "out") return `${name}${id}`; // They come in their order.
    const request = found(known.requests, id);
    if (!request) return world.budget.continuations > 0 && world.cut.has(id) ? `${name}cut` : "done";
    const slot = known.slots.get(request.slot);
    const generation = slot?.generation ?? 0;
    let key = `${name}@${place(request.slot)}${request.model}${world.dials[id]}${request.attempts}`;
    key +=
      request.child === null ? `h${slot?.held.indexOf(id)}` : `${childKey(request.child)}${world.attempts.get(id)}`;
    // A generation counts only by whether the slot has moved on.
    if (request.child !== null) key += generation > request.generation;
    else key += `${until(request.heldUntilMs)}.${since(request.heldSinceMs)}`;
    const { loss } = request;
    if (loss) key += `l${loss.isRepaired}${generation > loss.generation}${loss.duringJob === (slot?.job?.id ?? null)}`;
    return key;
  };

  const pendingKey = (pending: Pending): string => {
    switch (pending.kind) {
      case "health": {
        const { question, askedMs, answered } = pending;
        const whose = `${question === known.pollQuestion}${slots.findIndex(({ job }) => job?.question === question)}`;
        const listed = answered?.kind === "listing" ? answered.loaded.map(({ pid }) => pidKey(pid)).join() : "";
        const isOurs = known.turnEndedMs > askedMs;
        return `h${whose}${since(askedMs, 3000)}${isOurs}${weight(question)}${answered !== null}${listed}`;
      }
      case "sign": {
        const { question, child, how, askedMs } = pending;
        const isExamination = known.children.get(child)?.examination === question;
        return `s${childKey(child)}${how}${since(askedMs, 3000)}${isExamination}${slots.findIndex(({ job }) => job?.question === question)}`;
      }
      case "load":
        return `l${place(pending.slot)}${pending.model}${pending.isBegun}${pending.isEvicting}${pending.isAnew}`;
      case "unload":
      case "touch":
        return `${pending.kind}${place(pending.slot)}${pending.model}`;
    }
  };
  /** Whether the answer would overrule what is known: of the listing, of each slot, of each child. */
  const weight = (question: number): string => {
    let bits = question > (known.listing?.askedAt ?? -1) ? "y" : "n";
    for (const { settledAt } of slots) bits += question > settledAt ? "y" : "n";
    for (const { id } of children) bits += question > id ? "y" : "n";
    return bits;
  };

  let key = `${known.isUp}${known.isDraining}${world.isEnded}${lemond.isUp}p${known.pollQuestion !== null}`;
  key += `${until(known.pollDueMs)}`;
  if (known.silentSinceMs !== null) key += `h${since(known.silentSinceMs, 1001)}`;
  for (const slot of slots) key += slotKey(slot);
  const requests: string[] = [];
  for (let id = 1; id < world.requests.length; id++) requests.push(requestKey(id));
  // Which of two that stand alike is which makes no difference.
  key += `;${requests.sort().join()}`;
  for (const pending of world.pending) key += `;${pendingKey(pending)}`;
  for (const { id } of children) if (!numbers.has(id)) key += childKey(id);
  if (known.turn) key += `;t${place(known.turn.slot)}${known.turn.isTouch}${known.turn.claim}${known.queue.map(place)}`;
  for (const { model, url, pid, lastUse } of known.listing?.loaded ?? [])
    key += `;${model}${url}${pidKey(pid)}${lastUse === lastUseOf(model)}`;
  key += `;${lemond.visitor}`;
  if (lemond.visitor === "listed")
    key += `${since(lemond.visitorUsedMs, 3000)}.${since(lemond.visitorUsedBeforeMs, 3000)}`;
  for (const { model, port, pid } of lemond.listed) key += `;${model}${port}${pidKey(pid)}`;
  for (const { model, port, pid, health } of lemond.processes) key += `;${model}${port}${pidKey(pid)}${health}`;
  for (const { pid, attempts } of children)
    if (attempts > 0 && pid !== null && lemond.hanging.includes(pid))
      key += `;h${pidKey(pid)}${lemond.visited.includes(pid)}`;
  return key + historyKey(world);
}

/** What the laws remember, and what may still go wrong. */
function historyKey({ nowMs, budget, orders, sent, awayMs, leftMs, failedMs, contested }: World): string {
  const since = (ms: number, mostMs: number): number => Math.min(mostMs, nowMs - ms);
  let key = `;${Object.values(budget)}${orders}${since(awayMs, 8000)}${leftMs === nowMs}`;
  for (const model in sent) key += `${model}${sent[model]?.loads}${sent[model]?.unloads}`;
  for (const slot in failedMs) key += `f${slot}.${since(failedMs[slot] ?? -Infinity, 5000)}`;
  for (const slot in contested) key += `c${slot}.${since(contested[slot] ?? -Infinity, 31_000)}`;
  return key;
}
