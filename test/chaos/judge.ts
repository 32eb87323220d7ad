// Judges one answer: the child's bytes exactly, a stream that was cut and went on to the same text, a fallback's own answer, an
// envelope of the contract, or a stream that says that it broke off. Also whether it had to be so: an error, an interruption and
// a fallback need a fault that one retry cannot make good.
import type { Received } from "./client.ts";
import { continuedFault, hasText, seamsIn } from "./continued.ts";
import { codeOf, faultOfEnvelope, mayFail } from "./judge-errors.ts";
import { CONTINUED, FALLBACKS, REMOTE, SLOT_MODELS, type SlotName } from "./plan.ts";
import type { RequestPlan } from "./plan-requests.ts";
import { timeless, type Prompt } from "./prompts.ts";
import { failureIn, interruptionIn, needlessHeartbeats, withoutComments } from "./sse-text.ts";
import type { Told } from "./told.ts";

export type Kind = "whole" | "continued" | "fell-back" | "interrupted" | "broken-off" | "envelope" | "child-error";

export interface Verdict {
  readonly kind: Kind;
  /** Of an envelope. */
  readonly code: string | null;
  readonly fault: string | null;
}

/** What happened to a slot while the request was under way. */
export interface Circumstances {
  /** Connections that were lost, or could be: one attempt each at most. */
  readonly losses: number;
  /** lemond was down, mute or busy, or somebody else told it what to load. */
  readonly wasDisturbed: boolean;
  /** A load of one of the slot's models failed in this epoch, or its child died while it was loaded. */
  readonly loadsFailed: boolean;
  readonly operatorActed: boolean;
  /** The child said 503 of itself. */
  readonly wasLoading: boolean;
  /** A reload had taken the slot out. */
  readonly wasAbsent: boolean;
  /** The server has been told to end. */
  readonly isEnding: boolean;
  readonly tookMs: number;
  readonly holdMs: number;
}

export interface Case {
  readonly plan: RequestPlan;
  readonly prompt: Prompt;
  readonly received: Received;
  /** What the log says of the request. */
  readonly told: Told;
  readonly seen: (slot: SlotName) => Circumstances;
}

const verdict = (kind: Kind, fault: string | null = null, code: string | null = null): Verdict => ({
  kind,
  fault,
  code,
});

const LOADING = '"message":"Loading model"';
/** Whose children may get the request. */
export const slotsFor = (slot: SlotName): SlotName[] =>
  [slot, ...(FALLBACKS[slot] ?? [])].filter((name) => name !== REMOTE);

export function judge({ plan, prompt, received, told, seen }: Case): Verdict {
  const { status, headers, body, end } = received;
  if (status !== 200) {
    if (end === "cut") return verdict("envelope", `a ${status} that was cut short`);
    const code = codeOf(body, plan.route);
    if (code !== null) return verdict("envelope", faultOfEnvelope(code, status, headers, plan, seen(plan.slot)), code);
    const isChilds =
      status === 503 && body.includes(LOADING) && slotsFor(plan.slot).some((slot) => seen(slot).wasLoading);
    return verdict("child-error", isChilds ? null : `${status} that is no envelope: ${body.slice(0, 200)}`);
  }
  const named = faultOfHeaders(plan, prompt, headers, told);
  if (named !== null) return verdict("whole", named);
  const { fellBackTo } = told;
  if (fellBackTo === null) return judgeAnswer(plan.slot, { plan, prompt, received, told, seen });
  if (!mayFail(plan, seen(plan.slot))) {
    const because = JSON.stringify(seen(plan.slot));
    return verdict("fell-back", `${fellBackTo} answered although nothing was wrong: ${because}`);
  }
  const answer = judgeAnswer(fellBackTo, { plan, prompt, received, told, seen });
  return answer.kind === "whole" || answer.kind === "continued" ? { ...answer, kind: "fell-back" } : answer;
}

/** Who answered is in the headers; where a heartbeat went out before it was known, in the log alone. */
function faultOfHeaders(plan: RequestPlan, prompt: Prompt, headers: Headers, { fellBackTo }: Told): string | null {
  const [id, upstream, fallback] = ["x-request-id", "x-hal0-upstream", "x-hal0-fallback"].map((name) =>
    headers.get(name),
  );
  if (!id) return "a 200 without x-request-id";
  const isKnown = fellBackTo === null || (FALLBACKS[plan.slot] as readonly string[] | undefined)?.includes(fellBackTo);
  if (!isKnown) return `${fellBackTo} answered, which is no fallback of ${plan.slot}`;
  const isTold = fallback !== null;
  if (isTold ? fallback !== plan.slot || upstream !== fellBackTo : upstream !== plan.slot)
    return `${upstream} answered for ${fallback ?? plan.slot}, the log says ${fellBackTo}`;
  return !isTold && fellBackTo !== null && !prompt.wantsStream ? "a fallback that no header names" : null;
}

function judgeAnswer(by: SlotName | typeof REMOTE, { plan, prompt, received, told, seen }: Case): Verdict {
  const { body, end } = received;
  const text = timeless(prompt.isSse || by === REMOTE ? withoutComments(body) : body);
  const models = by === REMOTE ? [REMOTE] : SLOT_MODELS[by];
  const wholes = models
    .map((model) => prompt.expected(model))
    .map((whole) => (prompt.isSse ? withoutComments(whole) : whole));
  if (end === "complete" && wholes.includes(text)) {
    const beats = prompt.isSse ? needlessHeartbeats(body) : 0;
    return verdict("whole", beats > 0 ? `${beats} heartbeats although nobody waited` : null);
  }
  // After a heartbeat the child's own error is an event, whatever the reply would have been.
  const said = prompt.wantsStream ? withoutComments(text) : text;
  if (said.startsWith(`data: {"error":{${LOADING}`) && slotsFor(plan.slot).some((slot) => seen(slot).wasLoading))
    return verdict("child-error");
  if (by === REMOTE) return verdict("whole", `${end}, not the remote's answer: ${difference(text, wholes)}`);
  const circumstances = seen(by);
  if (prompt.isSse) return judgeStream(by, text, wholes, { plan, prompt, received, told, seen });
  // After a heartbeat the stream is one of events: what the child gave instead is named in one.
  const instead = prompt.wantsStream ? failureIn(said, plan.route) : null;
  if (instead?.code === "dispatch.upstream_unavailable") return verdict("envelope", null, instead.code);
  if (instead !== null) {
    const { code, headers } = instead;
    return verdict("envelope", faultOfEnvelope(code, null, headers, plan, circumstances), code);
  }
  if (prompt.wantsStream && end === "cut") {
    const isPrefix = wholes.some((whole) => whole.startsWith(text));
    if (!isPrefix) return verdict("broken-off", `not the child's bytes: ${difference(text, wholes)}`);
    return verdict("broken-off", mayLose(plan, circumstances) ? null : "broken off although nothing was wrong");
  }
  return verdict("whole", `${end}, not the child's bytes: ${difference(text, wholes)}`);
}

function judgeStream(by: SlotName, text: string, wholes: readonly string[], one: Case): Verdict {
  const { plan, received, told } = one;
  const seen = one.seen(by);
  const early = failureIn(text, plan.route);
  if (early !== null)
    return verdict("envelope", faultOfEnvelope(early.code, null, early.headers, plan, seen), early.code);
  if (received.end === "cut") return verdict("interrupted", "an SSE stream ended with a transport error");
  const mayGoOn = by === CONTINUED && plan.reply.kind === "generated";
  const interruption = interruptionIn(text, plan.route);
  if (interruption === null) {
    if (!mayGoOn) return verdict("whole", `neither whole nor interrupted: ${difference(text, wholes)}`);
    const raw = withoutComments(received.body);
    const faults = wholes.map((whole) => continuedFault(raw, whole));
    if (!faults.includes(null)) return verdict("continued", `not the undisturbed stream: ${faults.join(" / ")}`);
    if (seamsIn(received.body) > 1) return verdict("continued", "more than one seam");
    return verdict("continued", mayLose(plan, seen) ? null : "a stream was continued although nothing was wrong");
  }
  const { before, isEnd } = interruption;
  const lost = (isEnd ? seen.isEnding : mayLose(plan, seen))
    ? null
    : "a stream was interrupted although nothing was wrong";
  // Of a stream that had gone on, only the text is the same.
  const isPrefix = told.isContinued
    ? wholes.some((whole) => isBeginning(before, whole))
    : wholes.some((whole) => whole.startsWith(before)) && (before.endsWith("\n\n") || wholes.includes(before));
  if (!isPrefix)
    return verdict(
      "interrupted",
      `what came before the interruption is not the child's: ${difference(before, wholes)}`,
    );
  const why = mayGoOn && !isEnd ? faultOfBreak(before, plan, told, seen) : null;
  return verdict("interrupted", lost ?? why);
}

/** One lost connection ends a stream whose first event has gone out. */
export function mayLose(plan: RequestPlan, { losses, operatorActed }: Circumstances): boolean {
  return plan.cut !== null || losses > 0 || operatorActed;
}

/** Why a stream did not go on that could have: the log says it, and it must be so. */
function faultOfBreak(before: string, plan: RequestPlan, told: Told, seen: Circumstances): string | null {
  const { interrupted, notContinued, isContinued } = told;
  if (!interrupted) return "an interruption that is not in the log";
  const isExcused = mayFail(plan, seen) || seen.isEnding;
  switch (notContinued) {
    case "an operator unloaded its model":
      return seen.operatorActed ? null : `not continued: ${notContinued}`;
    case "the server is stopping":
      return seen.isEnding ? null : `not continued: ${notContinued}`;
    case "its room is another slot's":
      return null;
    case "what was said is not one text":
      return hasText(before) ? `not continued: ${notContinued}` : null;
    case null:
      return isContinued && isExcused ? null : "not continued, and the log does not say why";
    case "the child answered 503 to its template":
    case "the child answered 503 to its tokenizer":
    case "the child answered 503":
      return seen.wasLoading ? null : `not continued: ${notContinued}`;
    default:
      // The other reasons are refusals, which these children have no cause for, and losses.
      return isExcused && !/^the (child answered|template|build|request)/.test(notContinued)
        ? null
        : `not continued: ${notContinued}`;
  }
}

/** Of a stream that broke off again behind its seam. */
function isBeginning(before: string, whole: string): boolean {
  const textOf = (text: string): string =>
    [...text.matchAll(/"(?:content|reasoning_content|text)":("(?:[^"\\]|\\.)*")/g)]
      .map(([, quoted = '""']) => JSON.parse(quoted) as string)
      .join("");
  return textOf(whole).startsWith(textOf(before));
}

/** From the one of the wholes that it is most like. */
function difference(text: string, wholes: readonly string[]): string {
  const partsAt = (whole: string): number => {
    let at = 0;
    while (at < text.length && text[at] === whole[at]) at += 1;
    return at;
  };
  const [whole = ""] = wholes.toSorted((a, b) => partsAt(b) - partsAt(a));
  const at = partsAt(whole);
  const near = (of: string): string => JSON.stringify(of.slice(Math.max(0, at - 60), at + 80));
  return `${text.length} of ${whole.length} bytes, at ${at} ${near(text)} for ${near(whole)}`;
}
