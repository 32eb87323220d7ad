// What a drill asks of the running server besides chats: a slot, and the feed of what happens to it. Changes nothing.
import * as v from "valibot";

export interface DrillServer {
  /** Rejects with a DrillError if the server does not give it. */
  slots(): Promise<readonly DrillSlot[]>;
  /** What happens to the slot from now on. */
  follow(slot: string): Promise<Feed>;
}

export type DrillSlot = v.InferOutput<typeof Slot>;

/** One thing that happened, under the name that the log gives it. */
export interface Happening {
  readonly atMs: number;
  readonly event: string;
  readonly words: string;
  /** The state that the slot entered; null where it is another thing. */
  readonly state: string | null;
}

export interface Feed {
  readonly happenings: readonly Happening[];
  close(): void;
}

/** One line for the operator. */
export class DrillError extends Error {
  override readonly name = "DrillError";
}

const Slot = v.object({
  name: v.string(),
  model: v.string(),
  state: v.string(),
  url: v.nullable(v.string()),
  pid: v.nullable(v.number()),
  in_flight: v.number(),
  waiting: v.number(),
  default: v.boolean(),
});
const Transition = v.object({ time: v.string(), slot: v.string(), from: v.string(), to: v.string() });
const Repair = v.object({
  time: v.string(),
  slot: v.string(),
  cause: v.string(),
  outcome: v.string(),
  duration_s: v.number(),
});

export function createDrillServer(url: string, headers: Readonly<Record<string, string>>): DrillServer {
  const get = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(`${url}${path}`, { headers, keepalive: false, ...init }).catch(() => null);
    if (response === null)
      throw new DrillError(`nothing answers at ${url}: is the service running? run: hal0-dispatch doctor`);
    if (response.ok) return response;
    if (response.status === 401)
      throw new DrillError("the server wants a key: run this as root, or set HAL0_DISPATCH_API_KEYS");
    throw new DrillError(`${url}${path} answers ${response.status}: is that hal0-dispatch?`);
  };
  return {
    slots: async () => {
      const parsed = v.safeParse(
        v.pipe(v.string(), v.parseJson(), v.array(Slot)),
        await (await get("/api/slots")).text(),
      );
      if (parsed.success) return parsed.output;
      throw new DrillError(`${url}/api/slots does not answer as hal0-dispatch does`);
    },
    follow: async (slot) => {
      const ending = new AbortController();
      const happenings: Happening[] = [];
      const response = await get("/api/slots/events", { signal: ending.signal });
      void read(response, slot, happenings).catch(() => {}); // Closed, or the server is gone: no more events come.
      return { happenings, close: () => ending.abort() };
    },
  };
}

async function read(response: Response, slot: string, happenings: Happening[]): Promise<void> {
  let rest = "";
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const events = (rest + part).split("\n\n");
    rest = events.pop() ?? "";
    happenings.push(...events.flatMap((event) => happeningIn(event, slot)));
  }
}

function happeningIn(event: string, slot: string): Happening[] {
  const field = (name: string): string => new RegExp(`^${name}: ?(.*)$`, "m").exec(event)?.[1] ?? "";
  const data = <S extends v.GenericSchema>(schema: S) =>
    v.safeParse(v.pipe(v.string(), v.parseJson(), schema), field("data"));
  if (field("event") === "transition") {
    const { success, output } = data(Transition);
    if (!success || output.slot !== slot) return [];
    const words = `${output.from} → ${output.to}`;
    return [{ atMs: Date.parse(output.time), event: "slot.transition", words, state: output.to }];
  }
  if (field("event") !== "repair") return [];
  const { success, output } = data(Repair);
  if (!success || output.slot !== slot) return [];
  const hasFailed = output.outcome === "failed" || output.outcome === "backed_off";
  return [
    {
      atMs: Date.parse(output.time),
      event: hasFailed ? "dispatch.recover_evicted_slot_failed" : "dispatch.upstream_recovered",
      words: `${output.outcome} in ${output.duration_s} s (${output.cause})`,
      state: null,
    },
  ];
}
