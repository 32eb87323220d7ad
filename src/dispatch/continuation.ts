// Goes on with a stream whose child was lost: keeps what it has said and the request it answers, asks the slot's new child
// whether it would go on, and gives the relay the rest. Otherwise the stream ends with its error. Once for each stream.
import { DispatchError } from "../http/errors.ts";
import type { Slot } from "../slots/slot.ts";
import type { Ended, Lost } from "./attempt.ts";
import type { Begun } from "./beginning.ts";
import type { Call, Sent } from "./call.ts";
import type { Decision, DecisionDeps } from "./decision.ts";
import { drop } from "./drop.ts";
import { continuedBody, type Fields, isUsageMissing, isWhole, objectionTo, tokensLeft } from "./eligible.ts";
import { heartbeatOf, type WaitProgress } from "./heartbeat.ts";
import { isRecord, parsed } from "./json.ts";
import { askFor, type createQuestions, promptTokens, type Questioned } from "./questions.ts";
import { createRecording, type Kind, record, recordedIn, type Recording } from "./recording.ts";
import { gaveItsRoom } from "./room.ts";
import { lastEvents, type Seam } from "./splice.ts";
import { splicedFrom } from "./spliced.ts";
import { letGoOfBody } from "./upload.ts";
import { comment, createWait, type Wait } from "./wait.ts";

/** A larger body is let go of when the stream begins. */
export const MOST_KEPT_BODY_BYTES = 2 * 1024 * 1024;

/** The rest of a stream: from another attempt, or a few last events. */
export type Rest = { readonly begun: Begun; readonly sent: Sent } | { readonly last: Uint8Array };

/** A stream that may go on. Written in this file alone. */
export interface Continuation {
  readonly slot: Slot;
  readonly kind: Kind;
  readonly call: Call;
  readonly sent: Sent;
  readonly decision: Decision;
  readonly deps: ContinuationDeps;
  readonly recording: Recording;
  readonly begunMs: number;
  isOver: boolean;
}

/** `wait` waits for `rest`, which is null if the stream cannot go on after all. Never rejects. */
export interface Resumption {
  readonly rest: Promise<Rest | null>;
  readonly wait: Wait<Rest | null>;
}

export interface ContinuationDeps extends DecisionDeps {
  readonly heartbeatMs: () => number;
  readonly questions: ReturnType<typeof createQuestions>;
}

type Attempt =
  | { readonly outcome: "continued"; readonly rest: Rest; readonly to: string | null }
  | { readonly outcome: "refused" | "lost"; readonly reason: string };

const KINDS: Readonly<Record<string, Kind>> = { "chat/completions": "chat", completions: "completion" };

/** Null if a stream of that route, slot or size is never continued; then nothing is kept. */
export function continuationOf(
  slot: Slot,
  call: Call,
  sent: Sent,
  decision: Decision,
  deps: ContinuationDeps,
): Continuation | null {
  const { outcome } = sent;
  const kind = KINDS[decision.route.path];
  if (
    !kind ||
    outcome.kind !== "reply" ||
    !("source" in outcome) ||
    outcome.framing !== "sse" ||
    outcome.status !== 200
  )
    return null;
  const bodyBytes = call.body?.length ?? Infinity;
  if (!slot.record.config.isContinued || sent.isDirect !== true || bodyBytes > MOST_KEPT_BODY_BYTES) return null;
  const recording = createRecording(kind);
  return { slot, kind, call, sent, decision, deps, recording, begunMs: deps.now(), isOver: false };
}

/** Takes whole events that have gone to the client. */
export function seenBy({ recording, isOver }: Continuation, events: Uint8Array): void {
  if (!isOver) record(recording, events);
}

/** The stream is over: nothing of it is kept. */
export function endContinuation(continuation: Continuation): void {
  continuation.isOver = true;
  letGoOfBody(continuation.call);
}

/** Null where the stream cannot go on. */
export function resume(continuation: Continuation, lost: Ended): Resumption | null {
  const asked = lost.kind === "lost" ? questionOf(continuation, lost) : null;
  if (!asked || lost.kind !== "lost") return null;
  const { slot, sent, decision, deps } = continuation;
  continuation.isOver = true;
  // The slot must know of the loss before anything is sent to it, or it would not be repaired first.
  sent.end(lost.cause);
  const rest = restOf(continuation, asked, (bytes) => comment(wait, bytes));
  const beat = heartbeatOf(decision.route.path);
  const startedMs = deps.now();
  const wait = createWait(rest, {
    everyMs: deps.heartbeatMs(),
    beat: () => beat?.(slot.name, progressOf(slot, deps.now() - startedMs)) ?? "",
    now: deps.now,
  });
  return { rest, wait };
}

function questionOf(
  { slot, kind, call, decision, recording, begunMs, isOver }: Continuation,
  lost: Lost,
): Questioned | null {
  if (isOver) return null;
  const recorded = recordedIn(recording);
  const body = call.body && parsed(new TextDecoder().decode(call.body));
  const objection = isRecord(body) ? objectionTo(body, kind) : "no body";
  if (isRecord(body) && recorded && isWhole(body, kind, recorded))
    return { slot, kind, body, recorded, ask: askFor(call) };
  // At the end of the server no load is begun: it could outlast us and leave lemond half done.
  if (lost.cause === "unloaded") decision.notContinued = "an operator unloaded its model";
  else if (slot.known.isDraining || lost.cause === "stopping") decision.notContinued = "the server is stopping";
  else if (gaveItsRoom(slot, begunMs)) decision.notContinued = "its room is another slot's";
  else if (objection !== null) decision.notContinued = `the request has ${objection}`;
  else if (!recorded) decision.notContinued = "what was said is not one text";
  else if (isRecord(body)) return { slot, kind, body, recorded, ask: askFor(call) };
  return null;
}

async function restOf(
  { call, sent, decision, deps }: Continuation,
  asked: Questioned,
  onComment: (bytes: Uint8Array) => void,
): Promise<Rest | null> {
  const startedMs = deps.now();
  const attempt = await attemptToContinue(asked, deps.questions, onComment);
  if (call.client.aborted) {
    if (attempt.outcome === "continued" && "sent" in attempt.rest) drop(attempt.rest.begun, attempt.rest.sent);
    return null;
  }
  if (!isWhole(asked.body, asked.kind, asked.recorded)) tell(attempt, asked, sent, decision, deps, startedMs);
  return attempt.outcome === "continued" ? attempt.rest : null;
}

const progressOf = (slot: Slot, elapsedMs: number): WaitProgress =>
  slot.record.job === null
    ? { phase: "continuing", elapsedS: Math.round(elapsedMs / 1000), aboutS: null }
    : slot.progress();

async function attemptToContinue(
  asked: Questioned,
  questions: ContinuationDeps["questions"],
  onComment: (bytes: Uint8Array) => void,
): Promise<Attempt> {
  try {
    const { kind, body, recorded } = asked;
    const isUsedUp = (tokens: number): boolean => (tokensLeft(body, tokens) ?? 1) <= 0;
    // Nothing is missing, so the child is not asked for anything.
    if (isWhole(body, kind, recorded) || (isUsedUp(recorded.events) && !isUsageMissing(body, kind, recorded)))
      return ended({ kind, recorded, sentTokens: recorded.events, promptTokens: null });
    const answers = await questions(asked);
    if (answers.kind !== "fits") return { outcome: answers.kind, reason: answers.reason };
    // The count includes the whole opening of a thought; the child may have ended inside it, at the client's limit.
    const sentTokens = Math.min(Math.max(recorded.events, answers.textTokens), tokensLeft(body, 0) ?? Infinity);
    const seam = { kind, recorded, sentTokens, promptTokens: answers.promptTokens };
    if (recorded.end !== "open" || isUsedUp(sentTokens)) {
      if (!isUsageMissing(body, kind, recorded)) return ended({ ...seam, promptTokens: null });
      const counted = answers.promptTokens ?? (await promptTokens(asked, answers.prompt));
      if (typeof counted !== "number") return { outcome: counted.kind, reason: counted.reason };
      return ended({ ...seam, promptTokens: counted });
    }
    return await goOn(asked, continuedBody(body, kind, answers.recorded, seam.sentTokens), seam, onComment);
  } catch (error) {
    // A body that JSON.parse takes may be too deep for JSON.stringify.
    return {
      outcome: "lost",
      reason: error instanceof DispatchError ? error.code : "its request cannot be written anew",
    };
  }
}

const ended = (seam: Seam): Attempt => ({
  outcome: "continued",
  rest: { last: new TextEncoder().encode(lastEvents(seam)) },
  to: null,
});

async function goOn(
  { slot, ask }: Questioned,
  body: Fields,
  seam: Seam,
  onComment: (bytes: Uint8Array) => void,
): Promise<Attempt> {
  const next = ask("", body, true);
  next.progress = { dialledMs: null, onComment };
  const sent = await slot.send(next);
  const { outcome } = sent;
  letGoOfBody(next);
  if (outcome.kind !== "reply") return { outcome: "lost", reason: sent.reason ?? outcome.kind };
  if ("source" in outcome && outcome.framing === "sse" && outcome.status === 200)
    return { outcome: "continued", rest: { begun: splicedFrom(outcome, seam), sent }, to: sent.target };
  drop(outcome, sent);
  return { outcome: "refused", reason: `the child answered ${outcome.status}` };
}

function tell(
  attempt: Attempt,
  { slot, recorded }: Questioned,
  from: Sent,
  decision: Decision,
  { log, metrics, now }: ContinuationDeps,
  startedMs: number,
): void {
  metrics.streamContinued(slot.name, attempt.outcome);
  if (attempt.outcome !== "continued") {
    decision.notContinued = attempt.reason;
    return;
  }
  decision.isContinued = true;
  const childOf = (target: string): string => target.slice(0, -`/${decision.route.path}`.length);
  log.info("dispatch.stream_continued", {
    request_id: decision.requestId,
    slot: slot.name,
    from: childOf(from.target),
    to: attempt.to === null ? undefined : childOf(attempt.to),
    chars: recorded.reasoning.length + recorded.content.length,
    took_ms: Math.round(now() - startedMs),
  });
}
