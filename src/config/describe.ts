// A configuration as text for `--check`: every value that is in force, and no secret.
import type { Config } from "./config.ts";

/** TOML-like, one `key = value` a line, times in seconds. Keys are counted, never shown. */
export function describeConfig({ server, lemonade, slots, upstreams }: Config): string {
  const lines = [
    "[server]",
    line("host", server.host),
    line("port", server.port),
    `api_keys = (${server.apiKeys.length === 1 ? "1 key" : `${server.apiKeys.length} keys`})`,
    line("max_body_mb", server.maxBodyBytes / (1024 * 1024)),
    line("first_byte_timeout_s", server.firstByteTimeoutMs / 1000),
    line("log_level", server.logLevel),
    line("max_waiting", server.maxWaiting),
    line("drain_s", server.drainMs / 1000),
    line("allow_anonymous", server.allowAnonymous),
    line("allowed_hosts", server.allowedHosts),
    line("cors_origins", server.corsOrigins),
    "",
    "[lemonade]",
    line("url", withoutSecrets(lemonade.url)),
    keyLine(lemonade.apiKey),
    line("load_timeout_s", lemonade.loadTimeoutMs / 1000),
    line("poll_s", lemonade.pollMs / 1000),
    line("touch_s", lemonade.touchMs / 1000),
    line("auto_slots", lemonade.autoSlots),
  ];
  for (const slot of slots) {
    lines.push("", `[slots.${bareKey(slot.name)}]`, line("model", slot.model), line("aliases", slot.aliases));
    lines.push(line("default", slot.isDefault), line("gate", slot.gate));
    lines.push(line("hold_s", slot.holdMs / 1000), line("idle_after_s", slot.idleAfterMs / 1000));
    lines.push(
      slot.load === null
        ? "# load: the options last seen for the model"
        : `load = ${JSON.stringify(slot.load, masked)}`,
    );
  }
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
