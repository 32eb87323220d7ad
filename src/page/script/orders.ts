// What an operator orders: sent to the server, one at a time for a slot, with why it was refused.
import { say } from "./dom.ts";
import type { Server } from "./server.ts";
import type { Action } from "./words.ts";

export interface Orders {
  /** An order was sent and is not answered yet: a load takes as long as the load. */
  isBusy(slot: string): boolean;
  /** Why the last order was refused; "" where it was not. */
  refusal(slot: string): string;
  /** What was refused is of no interest any more. */
  forget(slot: string): void;
  send(slot: string, action: Action): Promise<void>;
}

export function createOrders(server: Server, draw: () => void): Orders {
  const busy = new Set<string>();
  const refusals = new Map<string, string>();
  return {
    isBusy: (slot) => busy.has(slot),
    refusal: (slot) => refusals.get(slot) ?? "",
    forget: (slot) => void refusals.delete(slot),
    send: async (slot, action) => {
      busy.add(slot);
      refusals.delete(slot);
      draw();
      say(`${slot}: ${action} asked for`);
      try {
        const response = await server.ask(`/api/slots/${encodeURIComponent(slot)}/${action}`, { method: "POST" });
        const answer: { error?: { message?: string } } = await response.json();
        if (!response.ok) refusals.set(slot, answer.error?.message ?? `The server answered ${response.status}.`);
      } catch {
        refusals.set(slot, "The answer was lost with the connection.");
      }
      busy.delete(slot);
      draw();
    },
  };
}
