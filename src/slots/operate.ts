// An operator's load, unload, restart or swap of a slot: closes the gate, lets requests finish, acts, opens the gate.
import type { Clock } from "../observe/clock.ts";
import { DispatchError } from "../http/errors.ts";
import { recover, unload, type Patient, type RecoverDeps } from "./recover.ts";
import type { Slot } from "./slot.ts";

export interface OperateDeps extends RecoverDeps {
  readonly clock: Clock;
  readonly drainMs: () => number;
}

export type Order =
  { readonly action: "load" | "unload" | "restart" } | { readonly action: "swap"; readonly model: string };

/** Carries out the order. Throws DispatchError: `slot.busy` while another is in flight, `slot.load_failed`. */
export async function operate(slot: Slot, order: Order, deps: OperateDeps): Promise<void> {
  if (slot.isBusy)
    throw new DispatchError("slot.busy", `Slot ${slot.name} is being loaded, unloaded or repaired already.`, {
      slot: slot.name,
      state: slot.state.name,
    });
  const promise = carryOut(slot, order, deps);
  slot.begin({ promise, model: order.action === "swap" ? order.model : slot.state.model });
  await promise;
}

async function carryOut(slot: Slot, order: Order, deps: OperateDeps): Promise<void> {
  switch (order.action) {
    case "load":
      return bring(slot, deps);
    case "unload":
      return takeDown(slot, deps);
    case "restart":
      await takeDown(slot, deps);
      return bring(slot, deps);
    case "swap":
      await takeDown(slot, deps);
      slot.state.become(order.model);
      return bring(slot, deps);
  }
}

/** Loads the model where it is not loaded; a healthy child of it is adopted and left alone. */
async function bring(slot: Slot, deps: OperateDeps): Promise<void> {
  const { state } = slot;
  slot.enterPhase("checking");
  const result = await recover(asPatient(slot), state.child ?? state.buried, deps);
  if (result.outcome !== "failed") return;
  // A child that still serves while lemond is away is not in error.
  if (result.loadFailed || !state.child) state.failLoad(result.cause, null);
  const details = { slot: slot.name, model: state.model, error: result.cause };
  throw new DispatchError(
    "slot.load_failed",
    `Slot ${slot.name}: loading ${state.model} failed: ${result.cause}`,
    details,
    {
      "retry-after": String(Math.max(1, Math.ceil(state.backOffMs / 1000))),
    },
  );
}

/** Unloads the model once the requests on it have ended, or their time is over: then they end aloud. */
async function takeDown(slot: Slot, deps: OperateDeps): Promise<void> {
  const { state, flights } = slot;
  slot.enterPhase("draining");
  await Promise.race([flights.quiet(), deps.clock.sleep(deps.drainMs())]);
  flights.cut(null, "unloaded");
  slot.enterPhase("waiting");
  const endTurn = await deps.turns.take();
  try {
    if (state.child) state.enter("unloading");
    const fault = await unload(asPatient(slot), deps);
    state.release();
    await deps.readBack();
    if (fault === null) return;
    const details = { upstream: slot.name, target: deps.lemonade.url, error: "ConnectError", cause: fault };
    throw new DispatchError("dispatch.upstream_unavailable", `Slot ${slot.name}: unloading failed: ${fault}`, details);
  } finally {
    endTurn();
  }
}

/** An operator waits for the end of what was ordered. */
function asPatient({ name, state, enterPhase }: Slot): Patient {
  return { name, state, enterPhase, isAbandoned: () => false };
}
