// A request through lemond: load the model, hold it against eviction, hand the request on, and repair once what was lost before
// the first byte. The order of the steps is that of router.cpp (execute_inference, execute_streaming).
import { loadFailed, type Answer, type ControlContext } from "./answers.ts";
import type { Entry } from "./entry.ts";
import type { Spec } from "./model-spec.ts";
import { LostChild } from "./to-child.ts";

export type Refusal =
  /** Before anything was promised to the client: a status of its own, also for a stream. */
  | { readonly kind: "load-failed"; readonly answer: Answer }
  | { readonly kind: "not-loaded"; readonly id: string }
  | { readonly kind: "unavailable"; readonly id: string }
  | { readonly kind: "lost"; readonly id: string; readonly words: string };

export type Through<T> =
  { readonly kind: "done"; readonly value: T } | { readonly kind: "refused"; readonly refusal: Refusal };

const refused = (refusal: Refusal): { readonly kind: "refused"; readonly refusal: Refusal } => ({
  kind: "refused",
  refusal,
});

export async function through<T>(
  context: ControlContext,
  { spec, name, isStream }: { readonly spec: Spec; readonly name: string; readonly isStream: boolean },
  work: (entry: Entry) => Promise<T>,
): Promise<Through<T>> {
  const { fleet, personality } = context;
  const repairs = personality.version === "11.7";
  const { id } = spec;
  if (!fleet.has(id)) {
    const outcome = await fleet.load(spec, {});
    if (outcome.kind === "failed") return refused({ kind: "load-failed", answer: loadFailed(name, outcome.message) });
  }
  for (let attempt = 1; ; attempt += 1) {
    const use = await fleet.use(id, isStream);
    // Evicted between its load and its use (DESIGN.md section 2, 21).
    if (use === undefined) return refused({ kind: "not-loaded", id });
    const { entry, done } = use;
    // 11.7 asks whether the child is there before it sends; 10.6 trusts its list (recording 30).
    if (repairs && !entry.child.isAlive) {
      done();
      if (attempt === 1 && (await reload(context, entry))) continue;
      return refused({ kind: "unavailable", id });
    }
    try {
      return { kind: "done", value: await work(entry) };
    } catch (cause) {
      if (!(cause instanceof LostChild)) throw cause;
      done();
      if (repairs && attempt === 1 && (await reload(context, entry))) continue;
      return refused({ kind: "lost", id, words: cause.message });
    } finally {
      done();
    }
  }
}

/** How long lemond waits for the end of a child that it lost, before it takes it for one that lives and only closed. */
const patienceMs = 200;

/** False: it could not be loaded again. A child that lives is left as it is. */
export async function reload({ fleet }: ControlContext, entry: Entry): Promise<boolean> {
  await Promise.race([entry.child.exited, Bun.sleep(patienceMs)]);
  if (!entry.child.isAlive) fleet.notice(entry);
  return (await fleet.load(entry.spec, entry.options)).kind === "loaded";
}

export interface Told {
  readonly status: number;
  readonly error: Readonly<Record<string, unknown>>;
}

/** What the client is told: `isStream` of an answer whose head was out already (DESIGN.md section 2, 18). */
export function toldOf(
  refusal: Exclude<Refusal, { readonly kind: "load-failed" }>,
  { personality }: ControlContext,
  isStream: boolean,
): Told {
  const is106 = personality.version === "10.6";
  const { id } = refusal;
  switch (refusal.kind) {
    case "not-loaded":
      return { status: is106 ? 500 : 404, error: { message: `No model loaded: ${id}`, type: "model_not_loaded" } };
    case "unavailable":
      return { status: 500, error: backendError(`Backend for model '${id}' is unavailable`, "backend_unavailable") };
    case "lost": {
      const { words } = refusal;
      if (is106 && isStream) return { status: 500, error: { message: words, type: "streaming_error" } };
      if (is106) return { status: 500, error: { message: `Network error: ${words}`, type: "network_error" } };
      if (!isStream) return { status: 500, error: watchdogReset(`backend connection failed during request: ${words}`) };
      const text = `Backend for model '${id}' crashed before streaming started and could not be reloaded: ${words}`;
      return { status: 500, error: backendError(text, "backend_watchdog_reset") };
    }
  }
}

const backendError = (message: string, code: string) => ({
  details: { code, retryable: true },
  message,
  type: "backend_error",
});

/** Recording 31. */
export const watchdogReset = (reason: string) => ({
  details: { backend: "llama-server", code: "backend_watchdog_reset", reason, retryable: true },
  message:
    "llama-server was unresponsive and has been reset by the backend watchdog. The model will be reloaded automatically on retry.",
  type: "backend_error",
});
