// Reads the event feed as a client does, and serves a feed of its own for what needs no slots.
import { createEvents, type Status } from "../src/http/feed.ts";
import type { RequestRecord } from "../src/observe/requests.ts";
import type { SlotSnapshot } from "../src/slots/snapshot.ts";

export interface Told {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** Reads a feed event by event; comments are counted. */
export function follow(response: Response) {
  const reader = response.body?.getReader();
  if (!reader) throw new Error("the feed has no body");
  const decoder = new TextDecoder();
  const told: Told[] = [];
  let text = "";
  const more = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = new Map(block.split("\n").map((line) => [line.split(": ", 1)[0] ?? "", line] as const));
      const data = lines.get("data")?.slice(6);
      if (data !== undefined) told.push({ event: lines.get("event")?.slice(7) ?? "", data: JSON.parse(data) });
    }
    return true;
  };
  return {
    told,
    /** The first event that matches, past ones included. Rejects when the feed ends. */
    until: async (match: (told: Told) => boolean): Promise<Told> => {
      for (;;) {
        const found = told.find(match);
        if (found) return found;
        if (!(await more())) throw new Error(`the feed ended after ${JSON.stringify(told)}`);
      }
    },
    ended: async (): Promise<void> => {
      while (await more());
    },
    cancel: () => reader.cancel(),
  };
}

export const slotNow = (fields: Partial<SlotSnapshot> = {}): SlotSnapshot => ({
  name: "primary",
  state: "ready",
  model: "tiny-a",
  url: "http://127.0.0.1:8001/v1",
  pid: 1,
  generation: 1,
  in_flight: 0,
  waiting: 0,
  since: "2026-01-01T00:00:00.000Z",
  last_used_at: null,
  last_error: null,
  last_load_s: null,
  repairs: { recovered: 0, retargeted: 0, alive: 0, failed: 0 },
  aliases: [],
  default: true,
  ...fields,
});

export const status = (): Status => ({
  status: "ok",
  version: "0",
  lemonade: { up: true, version: "11.7.0" },
  lemonade_url: "",
});

/** Records of a server that has served nothing. */
export const noRecords = {
  requestsAfter: () => ({ count: 0, records: [] as RequestRecord[] }),
  headline: () => {
    const nothing = { served: 0, waited_ms: 0, continued: 0, fell_back: 0, recovered: 0 };
    return { today: nothing, week: nothing };
  },
};

export const noLog = { after: () => ({ count: 0, lines: [] }) };

/** The feed alone on a port of its own. */
export function serveEvents(slots: () => readonly SlotSnapshot[]) {
  const events = createEvents({ slots, status, records: noRecords, log: noLog });
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: (request) => events.open(request),
  });
  return {
    events,
    server,
    url: server.url.href,
    [Symbol.asyncDispose]: async () => {
      events.close();
      await server.stop(true);
    },
  };
}

export async function eventually(what: string, holds: () => boolean, ms = 5000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} within ${ms} ms`);
    await Bun.sleep(5);
  }
}
