// A configuration as text for `--check`: every value that is in force, and no secret.
import type { Config, Fallback, LemonadeConfig, SlotConfig } from "./config.ts";

/** TOML-like, one `key = value` a line, times in seconds. Keys are counted, never shown. */
export function describeConfig({ server, lemonade, lemonades, slots, upstreams }: Config): string {
  const lines = [
    "[server]",
    line("host", server.host),
    line("port", server.port),
    `api_keys = ${counted(server.apiKeys)}`,
    `admin_keys = ${counted(server.adminKeys)}`,
    line("max_body_mb", server.maxBodyBytes / (1024 * 1024)),
    line("max_reply_mb", server.maxReplyBytes / (1024 * 1024)),
    line("first_byte_timeout_s", server.firstByteTimeoutMs / 1000),
    line("heartbeat_s", server.heartbeatMs / 1000),
    line("passthrough", server.passthrough),
    line("log_level", server.logLevel),
    line("log_format", server.logFormat),
    line("max_waiting", server.maxWaiting),
    line("drain_s", server.drainMs / 1000),
    line("allow_anonymous", server.allowAnonymous),
    line("allowed_hosts", server.allowedHosts),
    line("cors_origins", server.corsOrigins),
    "",
    "[lemonade]",
    ...lemondLines(lemonade),
    line("auto_slots", lemonade.autoSlots),
    line("internal", lemonade.internal),
  ];
  for (const further of lemonades) lines.push("", `[lemonades.${bareKey(further.name)}]`, ...lemondLines(further));
  for (const slot of slots) lines.push("", `[slots.${bareKey(slot.name)}]`, ...slotLines(slot));
  if (slots.length === 0) {
    lines.push("", lemonade.autoSlots ? "# no slots: each model of lemond is served under its own name" : "# no slots");
  }
  for (const { name, url, apiKey, models } of upstreams) {
    lines.push(
      "",
      `[upstreams.${bareKey(name)}]`,
      line("url", withoutSecrets(url)),
      keyLine(apiKey),
      line("models", models),
    );
  }
  return lines.join("\n");
}

function lemondLines({ url, apiKey, loadTimeoutMs, pollMs, touchMs, maxRequests }: LemonadeConfig): string[] {
  return [
    line("url", withoutSecrets(url)),
    keyLine(apiKey),
    line("load_timeout_s", loadTimeoutMs / 1000),
    line("poll_s", pollMs / 1000),
    line("touch_s", touchMs / 1000),
    maxRequests === null ? "# max_requests: 16, or 4 where lemond is older than 11" : line("max_requests", maxRequests),
  ];
}

function slotLines(slot: SlotConfig): string[] {
  return [
    line("model", slot.model),
    line("aliases", slot.aliases),
    line("default", slot.isDefault),
    line("gate", slot.gate),
    line("hold_s", slot.holdMs / 1000),
    line("idle_after_s", slot.idleAfterMs / 1000),
    line("via", slot.via),
    line("keep", slot.keep),
    line("continue", slot.isContinued),
    `fallback = [${slot.fallback.map(fallbackText).join(", ")}]`,
    line("fallback_after_s", slot.fallbackAfterMs / 1000),
    ...(slot.lemonade === null ? [] : [line("lemonade", slot.lemonade)]),
    slot.load === null ? "# load: the options last seen for the model" : `load = ${JSON.stringify(slot.load, masked)}`,
  ];
}

const fallbackText = ({ upstream, model }: Fallback): string =>
  model === null ? JSON.stringify(upstream) : `{ ${line("upstream", upstream)}, ${line("model", model)} }`;
const counted = (keys: readonly string[]): string => (keys.length === 1 ? "(1 key)" : `(${keys.length} keys)`);

/** JSON's text, numbers and lists are TOML's too. */
const line = (key: string, value: string | number | boolean | readonly string[]): string =>
  `${key} = ${JSON.stringify(value)}`;
const keyLine = (key: string | null): string => `api_key = ${key === null ? "(none)" : "(set)"}`;
const bareKey = (name: string): string => (/^[\w-]+$/.test(name) ? name : JSON.stringify(name));

/** loadConfig takes no user and no query in a URL; some gateways want an account's token in the path. */
function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return "(not a URL)";
  const { origin, pathname } = new URL(url);
  return origin + pathname.replace(/[\w-]{20,}/g, "…").replace(/\/$/, "");
}

/** Load options are sent as they are, and llama-server takes keys as arguments. */
function masked(key: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (/key|token|secret|password/i.test(key)) return "(set)";
  return value.replace(/(--?(?:api-key|hf-token|hft)[ =]+)("[^"]*"|'[^']*'|\S+)/g, "$1(set)");
}
