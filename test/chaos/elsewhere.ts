// The remote that answers for a slot while it cannot: never fails, names the prompt that it answers, and says what it should not
// have been sent.
import { REMOTE } from "./plan.ts";

export interface Elsewhere extends AsyncDisposable {
  readonly url: string;
  /** What came with another key or model than its own. */
  readonly faults: readonly string[];
}

export const AWAY_KEY = "key-of-elsewhere";
export const AWAY_MODEL = "away/model";

/** Its whole reply to the prompt of that number. */
export function awayReply(nr: string, wantsStream: boolean): string {
  const choice = { index: 0, finish_reason: "stop" };
  const common = { id: `${REMOTE}-${nr}`, model: AWAY_MODEL };
  if (!wantsStream) return JSON.stringify({ ...common, choices: [{ ...choice, message: { content: `away ${nr}` } }] });
  const event = JSON.stringify({ ...common, choices: [{ ...choice, delta: { content: `away ${nr}` } }] });
  return `data: ${event}\n\ndata: [DONE]\n\n`;
}

export function startElsewhere(): Elsewhere {
  const faults: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: async (request) => {
      const body = (await request.json()) as { model?: unknown; nr?: unknown; stream?: unknown };
      const key = request.headers.get("authorization");
      if (key !== `Bearer ${AWAY_KEY}`) faults.push(`the remote was sent the key ${key}`);
      if (body.model !== AWAY_MODEL) faults.push(`the remote was asked for ${String(body.model)}`);
      const isStream = body.stream === true;
      return new Response(awayReply(String(body.nr), isStream), {
        headers: { "content-type": isStream ? "text/event-stream" : "application/json" },
      });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/v1`,
    faults,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
