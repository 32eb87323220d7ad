// What the new child of a slot is asked before it goes on with a stream: how its template reads the text so far, and how
// many tokens that is. The questions go through the slot like any request: they wait for its repair, and are repeated once.
import type { Slot } from "../slots/slot.ts";
import type { Call } from "./call.ts";
import { drop } from "./drop.ts";
import { continuedBody, type Fields, tokensLeft, wantsUsage } from "./eligible.ts";
import { isRecord, parsed } from "./json.ts";
import { judge } from "./prompts.ts";
import type { Kind, Recorded } from "./recording.ts";

/** The client's call with a body and a path of its own. */
export type Ask = (path: string, body: Fields, wantsStream: boolean) => Call;

export type Answers =
  Fit | { readonly kind: "refused"; readonly reason: string } | { readonly kind: "lost"; readonly reason: string };

export interface Fit {
  readonly kind: "fits";
  /** May have lost newlines at the end of its thought. */
  readonly recorded: Recorded;
  readonly textTokens: number;
  /** The prompt that the child's template makes of the client's own messages. */
  readonly prompt: string;
  /** Null where the prompt was not counted, or could not be. */
  readonly promptTokens: number | null;
}

export interface Questioned {
  readonly slot: Slot;
  readonly ask: Ask;
  readonly kind: Kind;
  readonly body: Fields;
  readonly recorded: Recorded;
}

/** The client's request once more, with another path and body. */
export function askFor(call: Call): Ask {
  return (path, fields, wantsStream) => {
    const headers = new Headers(call.headers);
    headers.delete("content-length");
    headers.set("content-type", "application/json");
    return {
      requestId: call.requestId,
      path: path === "" ? call.path : path,
      method: "POST",
      headers,
      body: new TextEncoder().encode(JSON.stringify(fields)),
      wantsStream,
      model: call.model,
      lemond: null,
      maxReplyBytes: call.maxReplyBytes,
      client: call.client,
      isContinuation: true,
    };
  };
}

/** Remembers what the child of each slot said to both flags at once. */
export function createQuestions(): (asked: Questioned) => Promise<Answers> {
  const asking = new Map<string, { readonly child: string; readonly said: Promise<Answer | Lost> }>();

  /** Asked once for a child, however many streams the death before it has cut. */
  const saidToBoth = async (asked: Questioned, child: string): Promise<Answer | Lost> => {
    const { name } = asked.slot;
    const before = asking.get(name);
    const isOwn = before?.child !== child;
    const there = isOwn ? { child, said: answer(asked, "/apply-template", bothFlags(asked)) } : before;
    asking.set(name, there);
    const said = await there.said.catch((error: unknown) => ({ kind: "rejected" as const, error }));
    // Only a 400 stays true; a question may also be lost because its own client left.
    if (!("status" in said && said.status === 400) && asking.get(name) === there) asking.delete(name);
    if (said.kind !== "answer" && !isOwn) return saidToBoth(asked, child);
    if (said.kind === "rejected") throw said.error;
    return said;
  };

  const chat = async (asked: Questioned): Promise<Answers> => {
    const { slot, body, recorded } = asked;
    // Alone, since it waits for the repair: as many waiting requests as streams, not three times as many.
    const first = await prompt(asked, continuedBody(body, "chat", recorded, 0));
    if (first.kind !== "answer") return first;
    const child = `${first.target} ${slot.record.generation}`;
    const [plain, both] = await Promise.all([prompt(asked, body), saidToBoth(asked, child)]);
    if (plain.kind !== "answer") return plain;
    if (both.kind === "lost") return both;
    if (both.status !== 400) return { kind: "refused", reason: "the build cannot continue a message" };
    const verdict = judge(plain.text, first.text, recorded);
    if (verdict === "unfit") return UNFIT;
    return verdict === "fits" ? fits(asked, recorded, plain.text, first.text) : withoutNewlines(asked, plain.text);
  };

  return async (asked) => {
    const { kind, recorded, body } = asked;
    if (kind === "chat") return chat(asked);
    const prompt = String(body["prompt"]);
    // The usage of a completion is never left out. A chat's may have pictures, which no text can be counted for.
    const [textTokens, ownTokens] = await Promise.all([
      textTokensOf(asked, { content: recorded.content }),
      promptTokens(asked, prompt),
    ]);
    if (typeof textTokens !== "number") return textTokens;
    return {
      kind: "fits",
      recorded,
      textTokens,
      prompt,
      promptTokens: typeof ownTokens === "number" ? ownTokens : null,
    };
  };
}

const UNFIT: Answers = { kind: "refused", reason: "the template does not continue the text as it is" };

const bothFlags = ({ body, recorded }: Questioned): Fields => ({
  ...continuedBody(body, "chat", recorded, 0),
  add_generation_prompt: true,
});

/** The template adds the newlines that the thought ends with: they are left out, and the prompt is looked at once more. */
async function withoutNewlines(asked: Questioned, plain: string): Promise<Answers> {
  const recorded = { ...asked.recorded, reasoning: asked.recorded.reasoning.replace(/\n+$/, "") };
  const again = await prompt(asked, continuedBody(asked.body, "chat", recorded, 0));
  if (again.kind !== "answer") return again;
  return judge(plain, again.text, recorded) === "fits" ? fits(asked, recorded, plain, again.text) : UNFIT;
}

/** The text is counted as it stands in the prompt: the tags of a thought were tokens of the answer, too. */
async function fits(asked: Questioned, recorded: Recorded, plain: string, continued: string): Promise<Answers> {
  let common = 0;
  while (common < plain.length && plain[common] === continued[common]) common++;
  const textTokens = await textTokensOf(asked, { content: continued.slice(common), parse_special: true });
  if (typeof textTokens !== "number") return textTokens;
  return { kind: "fits", recorded, textTokens, prompt: plain, promptTokens: null };
}

/**
 * One event may hold several tokens: uncounted, more could be asked for than is left of the client's limit. Where it set none
 * the count is for the usage alone, and 0 where the child gives none; nothing is asked where that is not wanted either.
 */
async function textTokensOf(asked: Questioned, question: Fields): Promise<number | NoAnswer> {
  const isLimited = tokensLeft(asked.body, 0) !== null;
  if (!isLimited && asked.kind === "chat" && !wantsUsage(asked.body)) return 0;
  const tokens = await tokensOf(asked, question);
  return typeof tokens === "number" || isLimited ? tokens : 0;
}

/** How many tokens the prompt is, special ones included. */
export const promptTokens = (asked: Questioned, content: string): Promise<number | NoAnswer> =>
  tokensOf(asked, { content, add_special: true, parse_special: true });

async function tokensOf(asked: Questioned, question: Fields): Promise<number | NoAnswer> {
  const said = await answer(asked, "/tokenize", question);
  if (said.kind === "lost") return said;
  const tokens = isRecord(said.value) ? said.value["tokens"] : null;
  if (Array.isArray(tokens)) return tokens.length;
  return { kind: "refused", reason: `the child answered ${said.status} to its tokenizer` };
}

interface Answer {
  readonly kind: "answer";
  readonly status: number;
  readonly value: unknown;
  readonly target: string;
}

type Lost = Extract<Answers, { kind: "lost" }>;
type NoAnswer = Lost | Extract<Answers, { kind: "refused" }>;

async function prompt(asked: Questioned, body: Fields): Promise<(Answer & { readonly text: string }) | NoAnswer> {
  const said = await answer(asked, "/apply-template", body);
  if (said.kind === "lost") return said;
  const text = isRecord(said.value) ? said.value["prompt"] : null;
  if (said.status === 200 && typeof text === "string") return { ...said, text };
  return { kind: "refused", reason: `the child answered ${said.status} to its template` };
}

async function answer({ slot, ask }: Questioned, path: string, body: Fields): Promise<Answer | Lost> {
  const sent = await slot.send(ask(path, body, false));
  const { outcome, target, reason } = sent;
  if (outcome.kind !== "reply") return { kind: "lost", reason: reason ?? outcome.kind };
  if ("source" in outcome) {
    drop(outcome, sent);
    return { kind: "answer", status: outcome.status, value: null, target };
  }
  return { kind: "answer", status: outcome.status, value: parsed(new TextDecoder().decode(outcome.body)), target };
}
