// Asks a child which model it has and how it is, each time on a fresh connection. Reports; repair.ts judges.
import * as v from "valibot";
import { OWN_CONNECTION } from "../dispatch/attempt.ts";
import { causeOf } from "./lemonade.ts";
import type { ChildSign } from "../slots/repair.ts";

export interface Probe {
  /** GET /health of the child whose API base is `url`. */
  health(url: string): Promise<ChildSign>;
  /** GET {url}/models, whose first id must be `checkpoint`; a busy child may take long, so the caller sets the limit. */
  identity(url: string, checkpoint: string, limit: AbortSignal): Promise<ChildSign>;
  /** GET /slots: a child orphaned by a killed lemond 10.6 gives no answer at all. */
  slots(url: string): Promise<ChildSign>;
  /** True when the port answers ECONNREFUSED; a reset, a time-out or our own lack of files or ports is no refusal. */
  refuses(url: string): Promise<boolean>;
}

const ANSWER_MS = 3000;
const REFUSALS: readonly string[] = ["ECONNREFUSED", "ECONNRESET", "EPIPE"];
const Models = v.object({ data: v.tupleWithRest([v.object({ id: v.string() })], v.unknown()) });

export function createProbe(): Probe {
  const ask = async (url: string, limit: AbortSignal): Promise<Response | "refused" | "silent"> => {
    try {
      return await fetch(url, { headers: { connection: "close" }, ...OWN_CONNECTION, signal: limit });
    } catch (error) {
      // Only what the other end did counts against it, not a lack of files or ports here.
      return REFUSALS.includes(causeOf(error)) ? "refused" : "silent";
    }
  };
  const status = async (url: string): Promise<ChildSign> => {
    const answer = await ask(url, AbortSignal.timeout(ANSWER_MS));
    if (typeof answer === "string") return answer;
    await answer.body?.cancel();
    return answer.status === 503 ? "loading" : "ok";
  };
  return {
    health: (url) => status(`${new URL(url).origin}/health`),
    slots: (url) => status(`${new URL(url).origin}/slots`),
    refuses: async (url) => {
      try {
        const signal = AbortSignal.timeout(ANSWER_MS);
        const headers = { connection: "close" };
        const answer = await fetch(`${new URL(url).origin}/health`, { headers, ...OWN_CONNECTION, signal });
        await answer.arrayBuffer();
        return false;
      } catch (error) {
        return causeOf(error) === "ECONNREFUSED";
      }
    },
    identity: async (url, checkpoint, limit) => {
      const answer = await ask(`${url}/models`, limit);
      if (typeof answer === "string") return answer;
      if (answer.status === 503) {
        await answer.body?.cancel();
        return "loading";
      }
      try {
        const parsed = v.safeParse(Models, await answer.json());
        // Backends other than llama-server may not answer this: only another name counts against them.
        return parsed.success && parsed.output.data[0].id !== checkpoint ? "stranger" : "ok";
      } catch {
        return "ok";
      }
    },
  };
}
