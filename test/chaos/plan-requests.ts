// Which requests there are: what is asked of which slot, how the child shall answer, where that answer breaks off, and
// whether the client stays for it. What they look like in bytes is in prompts.ts.
import { CONTINUED, type SlotName } from "./plan.ts";
import type { Random } from "./random.ts";

export type Route = "chat/completions" | "completions" | "messages" | "responses" | "embeddings";

/**
 * `generated`: the text a model makes, which names the model. `events`, `plain` and `bytes`: a body that the prompt
 * brings along, as SSE in awkward pieces, as JSON, and as a stream that is neither. `echo`: the hash of what arrived.
 */
export type ReplyPlan =
  | {
      readonly kind: "generated";
      readonly stream: boolean;
      readonly tokens: number;
      readonly tokenMs: number;
      /** A stream's last words are how many tokens there were. */
      readonly usage: boolean;
    }
  | { readonly kind: "events"; readonly events: number; readonly eventBytes: number; readonly chunkBytes: number }
  | { readonly kind: "plain" | "bytes"; readonly bytes: number }
  | { readonly kind: "echo" };

export interface RequestPlan {
  readonly slot: SlotName;
  readonly route: Route;
  readonly reply: ReplyPlan;
  readonly padBytes: number;
  readonly firstByteMs: number;
  /** The child breaks the reply off there, in each attempt. `at` is a share of its length. */
  readonly cut: { readonly at: number; readonly how: "fin" | "rst" | "kill" } | null;
  /** The child never ends (or begins) the reply: such a client leaves. */
  readonly endless: "hang" | "silentAtEnd" | null;
  readonly leave: { readonly afterMs: number } | { readonly afterBytes: number } | null;
  /** The client's connection is used again. */
  readonly keepAlive: boolean;
}

const KB = 1024;

export function planRequest(random: Random, slot: SlotName, isQuiet: boolean): RequestPlan {
  const reply = slot === "embed" ? planEmbedding(random) : planReply(random, slot === CONTINUED);
  const canSpeakDialect = reply.kind === "events" || reply.kind === "plain";
  const route =
    slot === "embed"
      ? "embeddings"
      : random.weighted<Route>({
          "chat/completions": 6,
          completions: reply.kind === "generated" ? 2 : 0,
          messages: canSpeakDialect ? 3 : 0,
          responses: canSpeakDialect ? 3 : 0,
          embeddings: 0,
        });
  const cut =
    !isQuiet && reply.kind !== "echo" && random.chance(0.06)
      ? { at: random.int(0, 100) / 100, how: random.pick(["fin", "fin", "rst", "rst", "kill"]) }
      : null;
  const endless =
    cut === null && reply.kind !== "echo" && random.chance(0.02) ? random.pick(["hang", "silentAtEnd"]) : null;
  const leaves = endless !== null || random.chance(0.07);
  const leaveAfter = random.chance(0.6) || endless !== null ? { afterMs: random.int(0, 120) } : { afterBytes: 1 };
  return {
    slot,
    route,
    reply,
    padBytes:
      random.weighted({ none: 14, some: 5, large: 1 }) === "none" ? 0 : random.int(1, random.pick([4, 4, 900]) * KB),
    firstByteMs: random.chance(0.2) ? random.int(1, 60) : 0,
    cut,
    endless,
    leave: leaves ? leaveAfter : null,
    keepAlive: random.chance(0.5),
  };
}

function planEmbedding(random: Random): ReplyPlan {
  return random.chance(0.5) ? { kind: "echo" } : { kind: "plain", bytes: random.int(10, 20 * KB) };
}

/** A slot whose streams go on has more of them, and longer ones. */
function planReply(random: Random, isContinued: boolean): ReplyPlan {
  const kind = random.weighted({ generated: isContinued ? 24 : 10, events: 4, plain: 3, echo: 2, bytes: 1 });
  switch (kind) {
    case "generated": {
      const stream = random.chance(isContinued ? 0.85 : 0.6);
      return {
        kind,
        stream,
        tokens: random.int(1, stream ? 40 : 12),
        tokenMs: isContinued ? random.pick([0, 1, 4, 15, 15]) : random.pick([0, 0, 1, 4, 15]),
        usage: random.chance(0.5),
      };
    }
    case "events":
      return {
        kind,
        events: random.int(1, 40),
        eventBytes: random.pick([1, 40, 40, 3000]),
        chunkBytes: random.pick([1, 7, 100, 1000, 64 * KB]) + random.int(0, 30),
      };
    case "plain":
      return { kind, bytes: random.int(2, random.pick([200, 200, 200 * KB])) };
    case "bytes":
      return { kind, bytes: random.int(100, 20_000) };
    case "echo":
      return { kind };
  }
}
