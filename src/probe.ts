// Asks a child who and how it is, each time on a fresh connection. Reports; the judgement is repair.ts's.
import * as v from "valibot";
import { OWN_CONNECTION } from "./attempt.ts";
import { causeOf } from "./lemonade.ts";
import type { ChildSign } from "./repair.ts";

export interface Probe {
  /** GET /health of the child whose API base is `url`. */
  health(url: string): Promise<ChildSign>;
  /** GET {url}/models, whose first id must be `checkpoint`; without `timeoutMs` it waits as long as a busy child takes. */
  identity(url: string, checkpoint: string, timeoutMs?: number): Promise<ChildSign>;
  /** GET /slots: any answer at all is a sign of life that an orphan does not give. */
  slots(url: string): Promise<ChildSign>;
}

const ANSWER_MS = 3000;
const Models = v.object({ data: v.tupleWithRest([v.object({ id: v.string() })], v.unknown()) });

export function createProbe(): Probe {
  const ask = async (url: string, timeoutMs: number | null): Promise<Response | "refused" | "silent"> => {
    try {
      const signal = timeoutMs === null ? null : AbortSignal.timeout(timeoutMs);
      return await fetch(url, { headers: { connection: "close" }, ...OWN_CONNECTION, signal });
    } catch (error) {
      return causeOf(error) === "no answer in time" ? "silent" : "refused";
    }
  };
  const status = async (url: string): Promise<ChildSign> => {
    const answer = await ask(url, ANSWER_MS);
    if (typeof answer === "string") return answer;
    await answer.body?.cancel();
    return answer.status === 503 ? "loading" : "ok";
  };
  return {
    health: (url) => status(`${new URL(url).origin}/health`),
    slots: (url) => status(`${new URL(url).origin}/slots`),
    identity: async (url, checkpoint, timeoutMs) => {
      const answer = await ask(`${url}/models`, timeoutMs ?? null);
      if (typeof answer === "string") return answer;
      if (answer.status === 503) return "loading";
      try {
        const parsed = v.safeParse(Models, await answer.json());
        // Backends other than llama-server may not answer this: only another name speaks against them.
        return parsed.success && parsed.output.data[0].id !== checkpoint ? "stranger" : "ok";
      } catch {
        return "ok";
      }
    },
  };
}
