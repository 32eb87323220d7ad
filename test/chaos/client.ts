// One client: sends a prompt, reads what comes, or leaves when its plan says so. Reports; judges nothing.
import type { RequestPlan } from "./plan-requests.ts";
import type { Prompt } from "./prompts.ts";

export interface Received {
  readonly status: number;
  readonly headers: Headers;
  /** Each byte is one character. */
  readonly body: string;
  /** `cut`: the transport failed before the end of the body. */
  readonly end: "complete" | "cut";
}

export type Answer =
  | { readonly kind: "received"; readonly received: Received }
  | { readonly kind: "left" }
  /** No bound of the contract lasts so long. */
  | { readonly kind: "hung" }
  /** The connection failed before a status. */
  | { readonly kind: "no-answer"; readonly error: string };

/** Longer than both waits of a request (`hold_s` each) and its two attempts (`first_byte_timeout_s` each). */
const HUNG_MS = 70_000;

export async function ask(url: string, plan: RequestPlan, prompt: Prompt): Promise<Answer> {
  const abort = new AbortController();
  let ended: "left" | "hung" | null = null;
  const leave = (how: "left" | "hung"): void => {
    ended ??= how;
    abort.abort();
  };
  const hungTimer = setTimeout(() => leave("hung"), HUNG_MS);
  const leaveTimer = plan.leave && "afterMs" in plan.leave ? setTimeout(() => leave("left"), plan.leave.afterMs) : null;
  const leaveAfterBytes = plan.leave && "afterBytes" in plan.leave ? plan.leave.afterBytes : Infinity;
  const goneAs = (how: "left" | "hung"): Answer => ({ kind: how });
  try {
    const response = await fetch(`${url}/v1/${plan.route}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: prompt.bytes,
      signal: abort.signal,
      keepalive: plan.keepAlive,
      // Bun 1.4.5 gives up after 300 s by itself otherwise; not in the types.
      ...{ timeout: false },
    });
    const { status, headers } = response;
    const chunks: Uint8Array[] = [];
    let end: Received["end"] = "complete";
    try {
      let length = 0;
      for await (const chunk of response.body ?? []) {
        chunks.push(chunk);
        length += chunk.length;
        if (length >= leaveAfterBytes) leave("left");
      }
    } catch {
      end = "cut"; // Judged by whoever knows what was planned.
    }
    if (ended) return goneAs(ended);
    return { kind: "received", received: { status, headers, body: Buffer.concat(chunks).toString("latin1"), end } };
  } catch (error) {
    if (ended) return goneAs(ended);
    return { kind: "no-answer", error: error instanceof Error ? `${error.name} ${error.message}` : String(error) };
  } finally {
    clearTimeout(hungTimer);
    if (leaveTimer) clearTimeout(leaveTimer);
  }
}
