// Judges an error of ours: its code and status, what its headers must say, and whether there was a reason for it. Pure.
import { FALLBACKS } from "./plan.ts";
import type { RequestPlan } from "./plan-requests.ts";
import type { Circumstances } from "./judge.ts";
import { isRecord } from "./sse-text.ts";

const STATUS: Readonly<Record<string, number>> = {
  "slot.loading": 503,
  "slot.overloaded": 503,
  "dispatch.upstream_unavailable": 502,
  "dispatch.upstream_timeout": 504,
  "dispatch.no_route": 404,
  "server.draining": 503,
};

/** `status` null: it came as an event, after a heartbeat or a comment of the child. */
export function faultOfEnvelope(
  code: string,
  status: number | null,
  headers: Headers,
  plan: RequestPlan,
  seen: Circumstances,
): string | null {
  if (status !== null && STATUS[code] !== status) return `code ${code} with status ${status}`;
  const label = headers.get("x-hal0-repair");
  if ((STATUS[code] === 503 || label === "backed_off") && !headers.has("retry-after"))
    return `${code} without Retry-After`;
  if (status !== null && headers.get("x-request-id") === null) return `${code} without x-request-id`;
  // Sent away before its slot was looked for.
  if (code === "dispatch.no_route") return seen.wasAbsent ? null : "a slot that is there was not found";
  if (code === "server.draining") return seen.isEnding ? null : "sent away by a server that does not end";
  if (status !== null && headers.get("x-hal0-upstream") !== plan.slot)
    return `${code} names upstream ${headers.get("x-hal0-upstream")}`;
  const { losses, wasDisturbed, loadsFailed, operatorActed, tookMs, holdMs } = seen;
  const because = `(repair ${label}, ${losses} losses, ${Math.round(tookMs)} ms)`;
  if (code === "dispatch.upstream_unavailable" && FALLBACKS[plan.slot] && !seen.isEnding)
    return `a 502 although a remote would have answered ${because}`;
  // A repair that went well leaves one excuse: the second attempt was lost as well.
  const hasNoChild = label === null || label === "failed" || label === "backed_off";
  if (hasNoChild && (wasDisturbed || (loadsFailed && (label !== null || status === null)))) return null;
  switch (code) {
    case "slot.loading":
      return operatorActed || tookMs >= holdMs ? null : `slot.loading without an operator's action ${because}`;
    case "dispatch.upstream_unavailable":
      return plan.cut !== null || losses > 1 || (operatorActed && losses > 0) ? null : `needless 502 ${because}`;
    default:
      return `needless ${code} ${because}`;
  }
}

/** Whether the slot may have been unable to answer, so that another one did. */
export function mayFail(plan: RequestPlan, seen: Circumstances): boolean {
  const { losses, wasDisturbed, loadsFailed, operatorActed, tookMs, holdMs } = seen;
  return plan.cut !== null || losses > 1 || wasDisturbed || loadsFailed || operatorActed || tookMs >= holdMs;
}

/** The code of an envelope in the dialect of the route, or null. */
export function codeOf(body: string, route: RequestPlan["route"]): string | null {
  try {
    const value: unknown = JSON.parse(body);
    if (!isRecord(value) || !isRecord(value["error"])) return null;
    const { message, type, param, code, details } = value["error"];
    const isWhole = typeof message === "string" && typeof type === "string" && param === null && isRecord(details);
    if (!isWhole || typeof code !== "string") return null;
    return route === "messages" && value["type"] !== "error" ? null : code;
  } catch {
    return null; // Not JSON: the caller says so.
  }
}
