// The configuration of the server under test: fast polls and touches, heartbeats that come soon, and of the slots one whose
// streams go on, one that is kept, and one with fallbacks.
import { AWAY_MODEL } from "./elsewhere.ts";
import { CONTINUED, FALLBACKS, KEPT, REMOTE, SLOT_MODELS, type SlotName } from "./plan.ts";

export interface Places {
  readonly lemondUrl: string;
  readonly remoteUrl: string;
  readonly holdMs: number;
}

export const DRAIN_MS = 500;
/** Of the remote's key. */
export const KEY_ENV = "CHAOS_ELSEWHERE_KEY";

export function configText({ lemondUrl, remoteUrl, holdMs }: Places, names: readonly SlotName[]): string {
  const fallbackOf = (name: SlotName): string =>
    (FALLBACKS[name] ?? [])
      .filter((other) => other === REMOTE || names.includes(other))
      .map((other) => (other === REMOTE ? `{ upstream = "${REMOTE}", model = "${AWAY_MODEL}" }` : `"${other}"`))
      .join(", ");
  const slots = names.map(
    (name) => `
[slots.${name}]
model = "${SLOT_MODELS[name][0]}"
default = ${name === "chat"}
gate = "${name === "code" ? "hold" : "reject"}"
hold_s = ${holdMs / 1000}
idle_after_s = 0.5
continue = ${name === CONTINUED}
keep = ${name === KEPT}
fallback = [${fallbackOf(name)}]
`,
  );
  return `[server]
port = 0
log_level = "debug"
first_byte_timeout_s = 20
heartbeat_s = 0.5
drain_s = ${DRAIN_MS / 1000}

[lemonade]
url = "${lemondUrl}"
poll_s = 0.2
touch_s = 0.4
auto_slots = false

[upstreams.${REMOTE}]
url = "${remoteUrl}"
api_key_env = "${KEY_ENV}"
models = ["away/*"]
${slots.join("")}`;
}
