// Runs a crowd: a server and a lemond of its own, everything at once, and the end in the middle of it. Whoever was accepted gets
// the child's bytes, an error of the contract, or a stream that says it broke off; the server ends with 0, and soon.
import type { Lemond } from "../lemond/index.ts";
import { ask } from "./client.ts";
import { createDiary } from "./diary.ts";
import { judge, type Circumstances } from "./judge.ts";
import { createLedger, OUTSIDE, slotOf } from "./ledger.ts";
import { namesOf, SLOT_MODELS, type SlotName } from "./plan.ts";
import type { CrowdEvent, CrowdPlan } from "./plan-crowds.ts";
import type { RequestPlan } from "./plan-requests.ts";
import { heartbeatsIn } from "./sse-text.ts";
import { promptOf, type Prompt } from "./prompts.ts";
import type { Tally } from "./report.ts";
import { DRAIN_MS } from "./configured.ts";
import type { Target } from "./target.ts";

export interface CrowdOptions {
  readonly plan: CrowdPlan;
  readonly seed: number;
  /** Numbers its requests, and names it in a violation. */
  readonly index: number;
  readonly target: Target;
  readonly lemond: Lemond;
  readonly holdMs: number;
  readonly tally: Tally;
}

const SLOTS = Object.keys(SLOT_MODELS) as SlotName[];
/** After `drain_s`: the last bytes, and a machine that is busy. */
const LAST_MS = 6000;
const SECOND_LOOK_MS = 500;

export async function runCrowd({ plan, seed, index, target, lemond, holdMs, tally }: CrowdOptions): Promise<void> {
  const diary = createDiary(target, lemond);
  const sentMs = Date.now();
  const violate = (what: string, request: RequestPlan | null = null, requestId: string | null = null): void =>
    tally.violation(index, `crowd: ${what}`, request, diary.around({ names: namesOf(SLOTS), requestId, sentMs }));
  const { events } = plan;
  const ordered = new Set(events.flatMap((event) => (event.kind === "order" ? [event.slot] : [])));
  const ledger = createLedger(lemond, (child) => ordered.has(slotOf(child.model)), target.touches);
  // Operators, and slots that come back from a reload with the model that they had at first.
  for (const event of events)
    if (event.kind === "order") for (const model of SLOT_MODELS[event.slot]) ledger.allowLoad(model);
  const sent: { readonly request: RequestPlan; readonly prompt: Prompt }[] = [];

  const serve = async (request: RequestPlan, nth: number): Promise<void> => {
    const prompt = promptOf(request, seed, index * 1000 + nth);
    sent.push({ request, prompt });
    const beganMs = performance.now();
    const answer = await ask(target.url, request, prompt);
    const tookMs = performance.now() - beganMs;
    if (answer.kind === "received") {
      const { received } = answer;
      const requestId = received.headers.get("x-request-id");
      tally.beat(heartbeatsIn(received.body));
      const seen = (slot: SlotName) => circumstances(slot, plan, tookMs, holdMs);
      const look = () => judge({ plan: request, prompt, received, told: target.told(requestId), seen });
      // The log may be behind.
      if (look().fault !== null) await Bun.sleep(SECOND_LOOK_MS);
      const verdict = look();
      if (verdict.fault !== null) violate(verdict.fault, request, requestId);
      return tally.ended(verdict.code === null ? verdict.kind : `${verdict.kind} ${verdict.code}`, tookMs);
    }
    // Bytes that are neither SSE nor JSON have no words for a loss: their connection breaks, at times before the headers left.
    if (answer.kind === "no-answer" && request.reply.kind === "bytes") return tally.ended("broken-off", tookMs);
    if (answer.kind !== "left") violate(answer.kind === "hung" ? "hung" : `no answer: ${answer.error}`, request);
    tally.ended(answer.kind, tookMs);
  };

  const order = async (slot: SlotName, action: string): Promise<void> => {
    const body = JSON.stringify({ model: SLOT_MODELS[slot].at(-1) });
    try {
      const { status } = await fetch(`${target.url}/api/slots/${slot}/${action}`, { method: "POST", body });
      tally.operated(action, status);
    } catch (error) {
      violate(`an order to ${action} ${slot} got no answer: ${String(error)}`);
    }
  };

  const happen = async (event: CrowdEvent, nth: number): Promise<void> => {
    await Bun.sleep(event.atMs);
    if (event.kind !== "request") diary.note(JSON.stringify(event));
    switch (event.kind) {
      case "request":
        return serve(event.request, nth);
      case "order":
        return order(event.slot, event.action);
      case "reload":
        return target.reload(SLOTS.filter((slot) => slot !== event.without));
      case "kill":
        return lemond.child(SLOT_MODELS[event.slot][0])?.kill();
      case "outside-load":
        return loadFromOutside(lemond, SLOT_MODELS[event.slot][0]);
    }
  };

  // What is loaded at the beginning is in use, or was a moment ago.
  for (const slot of SLOTS) await warmUp(target, slot);
  const all = events.map((event, nth) => {
    tally.struck(`crowd ${event.kind}`);
    return happen(event, nth);
  });
  await Bun.sleep(plan.endMs);
  const toldMs = performance.now();
  const code = await target.stop();
  const tookMs = performance.now() - toldMs;
  await Promise.all(all);

  if (code !== 0) violate(`the server ended with exit code ${code}`);
  if (tookMs > DRAIN_MS + LAST_MS) violate(`the end took ${Math.round(tookMs)} ms`);
  for (const fault of target.faults) violate(fault);
  for (const { request, prompt } of sent) {
    tally.attempted(ledger.attemptsOf(prompt.sha256).get(request.slot) ?? 0);
    for (const fault of ledger.faultsOfAttempts(prompt.sha256, request.slot)) violate(fault, request);
  }
  for (const fault of ledger.close()) violate(fault);
  tally.epoch(lemond);
}

/** Everything may have gone wrong but the bytes, the envelopes, and the end itself. */
function circumstances(slot: SlotName, { events }: CrowdPlan, tookMs: number, holdMs: number): Circumstances {
  return {
    losses: 2,
    wasDisturbed: true,
    loadsFailed: true,
    operatorActed: true,
    wasLoading: true,
    wasAbsent: events.some((event) => event.kind === "reload" && event.without === slot),
    isEnding: true,
    tookMs,
    holdMs,
  };
}

async function warmUp({ url }: Target, slot: SlotName): Promise<void> {
  const path = slot === "embed" ? "embeddings" : "chat/completions";
  const body = JSON.stringify({ model: slot, input: "x", messages: [{ role: "user", content: "x" }], max_tokens: 1 });
  await (await fetch(`${url}/v1/${path}`, { method: "POST", body, keepalive: false })).arrayBuffer();
}

async function loadFromOutside({ url }: Lemond, model: string): Promise<void> {
  const headers = { "content-type": "application/json", connection: "close", [OUTSIDE]: "1" };
  const body = JSON.stringify({ model_name: model });
  await fetch(`${url}/v1/load`, { method: "POST", headers, body, keepalive: false }).then((reply) => reply.text());
}
