// What makes two worlds the same: times as seen from now, children and processes by first appearance, questions by whether
// their answers would still count. What only logs and people read is left out.
import type { Job, Request, SlotRecord } from "../../src/slots/known.ts";
import { urlOf } from "./lemond.ts";
import type { World } from "./world.ts";

/** Times further ahead are all alike. */
const FAR_MS = 100_000;

export function keyOf(world: World): string {
  const { known, lemond, nowMs } = world;
  const pids = new Map<number, number>();
  const pidOf = (pid: number | null): number => {
    if (pid === null) return -1;
    const there = pids.get(pid) ?? pids.size;
    pids.set(pid, there);
    return there;
  };
  const children = new Map<number, number>();
  const childOf = (id: number | null): string => {
    if (id === null) return "-";
    const there = children.get(id);
    if (there !== undefined) return `${there}`;
    children.set(id, children.size);
    const child = known.children.get(id);
    if (!child) return `${children.size - 1}x`;
    const { url, pid, checkpoint, misses, examination, isEvicted, listedAt } = child;
    const later = [...known.children.values()].filter((other) => other.id > listedAt).length;
    return `${children.size - 1}(${url}${checkpoint}${pidOf(pid)},${misses},${examination !== null},${isEvicted}${later})`;
  };
  const until = (ms: number): number => Math.min(FAR_MS, Math.max(0, ms - nowMs));
  const since = (ms: number): number => Math.min(FAR_MS, nowMs - ms);
  /** lemond's times count only by whether they have moved since they were listed. */
  const lastUseOf = (url: string | null): number | null =>
    lemond.listed.find((process) => urlOf(process) === url)?.lastUse ?? null;
  const slotNumbers = [...known.slots.keys()];

  const jobKey = (job: Job): string => {
    const { stage, order, lemond: said, child, newcomer, fresh } = job;
    const waits = stage === "draining" || stage === "newcomer" || stage === "room";
    return [
      stage,
      order ? `${order.id}${order.isTakingDown}` : "",
      job.isOnDemand,
      job.isKeeping,
      childOf(job.suspect),
      stage === "turn" || stage === "draining" ? "" : until(job.untilMs),
      said,
      child,
      job.question !== null,
      job.question === null ? until(job.againMs) : "",
      waits ? until(job.stageUntilMs) : "",
      // Drained in time or not: what an order may cut.
      order?.isTakingDown ? until(job.startedMs + known.settings.drainMs) : "",
      job.fault !== null,
      job.refusal.length,
      Math.min(job.loads, 4),
      job.hasRoom,
      job.isContested,
      stage === "newcomer" && newcomer
        ? `${newcomer.url}${lastUseOf(newcomer.url) === newcomer.lastUse}${since(newcomer.sinceMs)}`
        : "",
      childOf(fresh?.child ?? null),
      job.pauseMs,
      job.refusedSinceMs === null ? "" : since(job.refusedSinceMs),
    ].join();
  };
  const slotKey = (slot: SlotRecord): string => {
    const { last, backOff, seen } = slot;
    return [
      slot.name,
      slot.model,
      slot.state,
      slot.isLeaving,
      slot.isDismissed,
      slot.isAlias,
      slot.config.keep ? `${slot.keepBackOff.delayMs},${until(slot.keepBackOff.untilMs)},${since(slot.adoptedMs)}` : "",
      childOf(slot.child),
      childOf(slot.dead),
      last ? `${last.url}${pidOf(last.pid)}` : "",
      seen === null ? 0 : seen.options === null ? 1 : 2,
      slot.lastError === null,
      backOff.delayMs,
      until(backOff.untilMs),
      slot.held.join("."),
      slot.state === "ready"
        ? Math.min(slot.config.idleAfterMs, since(Math.max(slot.sinceMs, slot.lastUsedMs ?? 0)))
        : "",
      known.settings.touchMs > 0 ? `${slot.isUsedSinceTouch}${until(slot.touchDueMs)}` : "",
      slot.job ? jobKey(slot.job) : "",
    ].join();
  };
  const requestKey = (request: Request): string => {
    const slot = known.slots.get(request.slot);
    const { loss } = request;
    return [
      request.id,
      slotNumbers.indexOf(request.slot),
      childOf(request.child),
      request.attempts,
      request.child === null ? `${until(request.heldUntilMs)},${since(request.heldSinceMs)}` : "",
      // A generation counts only by whether the slot has moved on.
      (slot?.generation ?? 0) > request.generation,
      loss ? `${loss.isRepaired}${(slot?.generation ?? 0) > loss.generation}${loss.duringJob === slot?.job?.id}` : "",
      request.label,
    ].join();
  };
  const pendingKey = (pending: World["pending"][number]): string => {
    switch (pending.kind) {
      case "health":
        return `h${pending.question === known.pollQuestion}${jobOf(pending.question)}${nowMs - pending.askedMs},${weight(pending.question)}${pending.answered?.kind === "listing" ? pending.answered.loaded.map(({ model, pid }) => model + pidOf(pid)) : ""}`;
      case "sign":
        return `s${childOf(pending.child)}${pending.how}${jobOf(pending.question)}${known.children.get(pending.child)?.examination === pending.question}`;
      case "unload":
      case "load":
        return `${pending.kind}${slotNumbers.indexOf(pending.slot)}${pending.model}${known.slots.get(pending.slot)?.job?.id === pending.job}${"isBegun" in pending && pending.isBegun}${"isEvicting" in pending && pending.isEvicting}${"isAnew" in pending && pending.isAnew}`;
      case "touch":
        return `t${slotNumbers.indexOf(pending.slot)}${pending.model}`;
    }
  };
  const jobOf = (question: number): number => {
    let at = 0;
    for (const { job } of known.slots.values()) {
      if (job?.question === question) return at;
      at++;
    }
    return -1;
  };
  /** Whether the answer would overrule what is known: of each slot, of each child, of the listing. */
  const weight = (question: number): string => {
    let bits = question > (known.listing?.askedAt ?? -1) ? "y" : "n";
    for (const { settledAt } of known.slots.values()) bits += question > settledAt ? 1 : 0;
    for (const id of children.keys()) bits += question > (known.children.get(id)?.knownSince ?? 0) ? 1 : 0;
    return bits;
  };

  const listed = known.listing?.loaded.map(
    ({ model, url, pid, lastUse }) => model + url + pidOf(pid) + (lastUse === lemond.visitorUsedMs),
  );
  const parts = [...[...known.slots.values()].map(slotKey), ...[...known.requests.values()].map(requestKey)];
  // Children that nothing names are still listed by their number.
  for (const id of known.children.keys()) if (!children.has(id)) parts.push(childOf(id));
  const asks = world.pending.map(pendingKey);
  const { turn, queue } = known;
  return [
    ...parts,
    ...asks,
    known.isUp,
    known.isDraining,
    known.isStopping,
    listed,
    turn ? `${slotNumbers.indexOf(turn.slot)}${turn.isTouch}${turn.claim}` : "",
    queue.map((id) => slotNumbers.indexOf(id)),
    known.pollQuestion !== null,
    until(known.pollDueMs),
    Math.min(3000, since(known.turnEndedMs)),
    lemond.isUp,
    lemond.listed.map(({ model, port, pid }) => model + port + pidOf(pid)),
    lemond.processes.map(({ model, port, pid, health }) => model + port + pidOf(pid) + health),
    lemond.hanging
      .filter((pid) => [...known.children.values()].some((child) => child.pid === pid && child.attempts > 0))
      .map(pidOf),
    lemond.visitor,
    lemond.visitor === "listed"
      ? Math.min(3000, since(lemond.visitorUsedMs)) + Math.min(3000, since(lemond.visitorUsedBeforeMs)) / 10_000
      : "",
    [...world.attempts].map(([request, isStreaming]) => `${request}${isStreaming}`),
    Object.values(world.budget),
    world.requests,
    world.budget.continuations > 0 ? [...world.cut.keys()] : "",
    world.dials,
    world.orders,
    Object.entries(world.sent).map(([model, { loads, unloads }]) => model + loads + unloads),
    Math.min(20_000, since(world.awayMs)),
    world.leftMs === nowMs,
    Object.entries(world.failedMs).map(([slot, ms]) => (ms === undefined ? "" : slot + Math.min(5000, since(ms)))),
    Object.entries(world.contested).map(([slot, ms]) => (ms === undefined ? "" : slot + since(ms))),
    world.isDraining,
    world.isEnded,
  ].join(";");
}
