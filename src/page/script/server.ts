// Asks the server: with the key that was given, kept in this tab only. Reads its event feed to the end.
import type { FeedEvents } from "../../http/feed.ts";

export interface Server {
  readonly hasKey: boolean;
  /** Null forgets it. */
  setKey(key: string | null): void;
  ask(path: string, init?: RequestInit): Promise<Response>;
  follow(told: Told): Promise<"key needed">;
}

/** What is done with the events of the feed. */
export interface Told {
  /** The feed has begun; the server's clock less ours, in ms. */
  readonly onLive: (skewMs: number, ask: Server["ask"]) => Promise<void>;
  readonly events: { readonly [E in keyof FeedEvents]?: (data: FeedEvents[E]) => void };
}

/** The feed beats every 15 s. */
const SILENCE_MS = 40_000;
/** A difference below this is the way of the answer. */
const MOST_LAG_MS = 3000;

export function createServer(): Server {
  let key = sessionStorage.getItem("key");

  const ask: Server["ask"] = (path, init = {}) => {
    const headers = new Headers(init.headers);
    if (key !== null) headers.set("authorization", `Bearer ${key}`);
    return fetch(path, { cache: "no-store", ...init, headers });
  };

  return {
    get hasKey() {
      return key !== null;
    },
    setKey: (next) => {
      key = next;
      if (next === null) sessionStorage.removeItem("key");
      else sessionStorage.setItem("key", next);
    },
    ask,
    /** Rejects when the connection is lost. */
    follow: async ({ onLive, events }) => {
      const abort = new AbortController();
      let silence = 0;
      const alive = (): void => {
        clearTimeout(silence);
        silence = window.setTimeout(() => abort.abort(), SILENCE_MS);
      };
      alive();
      try {
        const response = await ask("/api/slots/events", { signal: abort.signal });
        if (response.status === 401) return "key needed";
        if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
        const lagMs = Date.parse(response.headers.get("date") ?? "") - Date.now();
        await onLive(Math.abs(lagMs) > MOST_LAG_MS ? lagMs : 0, (path) => ask(path, { signal: abort.signal }));
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ""; ;) {
          const { done, value } = await reader.read();
          if (done) throw new Error("the feed ended");
          alive();
          const whole = (text + value).split("\n\n");
          text = whole.pop() ?? "";
          for (const event of whole) tell(event, events);
        }
      } finally {
        clearTimeout(silence);
        abort.abort();
      }
    },
  };
}

function tell(event: string, events: Told["events"]): void {
  const name = /^event: (.*)$/m.exec(event)?.[1] ?? "";
  const data = /^data: (.*)$/m.exec(event)?.[1];
  // An event of a newer server than this page is passed over.
  if (data !== undefined && isEvent(name, events)) events[name]?.(JSON.parse(data));
}

function isEvent(name: string, events: Told["events"]): name is keyof FeedEvents {
  return Object.hasOwn(events, name);
}
