// What the server shows of its slots, and the calm behind an epoch: nothing in flight, nothing waiting, every slot serves.
import { SLOT_MODELS, type SlotName } from "./plan.ts";

const CALM_MS = 15_000;

interface SlotShown {
  readonly name: string;
  readonly state: string;
  readonly model: string;
  readonly pid: number | null;
  readonly in_flight: number;
  readonly waiting: number;
}

export async function slotsShown(url: string): Promise<SlotShown[]> {
  return (await (await fetch(`${url}/api/slots`)).json()) as SlotShown[];
}

/** What still runs in the server although nobody waits for an answer. */
export async function notCalm(url: string): Promise<string[]> {
  const deadline = performance.now() + CALM_MS;
  for (;;) {
    const busy = (await slotsShown(url)).filter(({ in_flight, waiting }) => in_flight > 0 || waiting > 0);
    if (busy.length === 0) return [];
    if (performance.now() > deadline)
      return busy.map(({ name, in_flight, waiting }) => `${name} stays at ${in_flight} in flight, ${waiting} waiting`);
    await Bun.sleep(50);
  }
}

/** A slot in back-off is waited for where that is short, and loaded by an operator where it is long. */
export async function notServed(url: string, slot: SlotName, nth: number): Promise<string | null> {
  let last = "";
  for (let tries = 0; tries < 3; tries += 1) {
    const plan = slot === "embed" ? { path: "embeddings", input: "x" } : { path: "chat/completions", messages: [] };
    const response = await fetch(`${url}/v1/${plan.path}`, {
      method: "POST",
      body: JSON.stringify({ model: slot, input: "calm", messages: [{ role: "user", content: `calm ${nth}` }] }),
      keepalive: false,
    });
    const text = await response.text();
    // A fallback's answer says nothing of the slot.
    if (response.status === 200 && !response.headers.has("x-hal0-fallback")) {
      // A reply of embeddings says the name that the client wrote.
      const isOurs = slot === "embed" || SLOT_MODELS[slot].some((model) => text.includes(model));
      return isOurs ? null : `${slot} is served by another model: ${text.slice(0, 200)}`;
    }
    last = `${response.status} ${text.slice(0, 300)}`;
    const retryAfterS = Number(response.headers.get("retry-after") ?? 0);
    if (retryAfterS > 0 && retryAfterS <= 5) await Bun.sleep(retryAfterS * 1000);
    else await (await fetch(`${url}/api/slots/${slot}/load`, { method: "POST" })).arrayBuffer();
  }
  return `${slot} does not serve again: ${last}`;
}
