// The `[server]` section: its keys, what flags and environment put over them, and which address needs keys.
import * as v from "valibot";
import { isLoopback } from "../http/loopback.ts";
import type { Config } from "./config.ts";
import * as field from "./fields.ts";
import { readGiven } from "./given.ts";
import { readKeys } from "./secrets.ts";
import { beside, type Reading } from "./sections.ts";
import { readTable } from "./tables.ts";

const fields = {
  host: v.optional(field.bindHost, "127.0.0.1"),
  port: v.optional(field.port, 8080),
  api_keys: v.optional(field.keys, []),
  api_keys_file: v.optional(field.path),
  admin_keys: v.optional(field.keys, []),
  admin_keys_file: v.optional(field.path),
  max_body_mb: v.optional(field.megabytes, 64),
  max_reply_mb: v.optional(field.megabytes, 64),
  first_byte_timeout_s: v.optional(field.seconds(0), 3600),
  heartbeat_s: v.optional(field.seconds(0), 5),
  passthrough: v.optional(field.flag, true),
  log_level: v.optional(field.logLevel, "info"),
  log_format: v.optional(field.oneOf(["auto", "json", "text"]), "auto"),
  max_waiting: v.optional(field.count, 256),
  drain_s: v.optional(field.seconds(0), 30),
  allow_anonymous: v.optional(field.flag, false),
  allowed_hosts: v.optional(field.allowedHosts, []),
  cors_origins: v.optional(field.corsOrigins, []),
};

export function readServer(value: unknown, { args, env, readFile, source, faults }: Reading): Config["server"] | null {
  const givenHost = readGiven(
    field.bindHost,
    faults,
    ["--host", args.host],
    ["HAL0_DISPATCH_HOST", env.HAL0_DISPATCH_HOST],
  );
  const givenPort = readGiven(
    field.portText,
    faults,
    ["--port", args.port],
    ["HAL0_DISPATCH_PORT", env.HAL0_DISPATCH_PORT],
  );
  const givenLevel = readGiven(field.logLevel, faults, ["HAL0_DISPATCH_LOG", env.HAL0_DISPATCH_LOG]);
  const file = readTable("server", value, fields, faults);
  if (file === null) return null;
  const keysOf = (kind: "api_keys" | "admin_keys"): string[] | null => {
    const path = file[`${kind}_file`];
    const keysFile = path === undefined ? null : beside(source, path);
    return readKeys({ kind, listed: file[kind], keysFile, env, readFile }, faults);
  };
  const [apiKeys, adminKeys] = [keysOf("api_keys"), keysOf("admin_keys")];
  if (apiKeys === null || adminKeys === null) return null;

  const host = givenHost?.value ?? file.host;
  const allowAnonymous = args.allowAnonymous === true || file.allow_anonymous;
  if (apiKeys.length === 0 && !allowAnonymous && !isLoopback(host)) {
    faults.push(
      `${givenHost?.where ?? "server.host"}: other machines can reach ${host}, and there is no API key: ` +
        "set server.api_keys or HAL0_DISPATCH_API_KEYS, or pass --allow-anonymous",
    );
  }
  return {
    host,
    port: givenPort?.value ?? file.port,
    apiKeys,
    adminKeys,
    maxBodyBytes: file.max_body_mb,
    maxReplyBytes: file.max_reply_mb,
    firstByteTimeoutMs: file.first_byte_timeout_s,
    heartbeatMs: file.heartbeat_s,
    passthrough: file.passthrough,
    logLevel: givenLevel?.value ?? file.log_level,
    logFormat: file.log_format,
    maxWaiting: file.max_waiting,
    drainMs: file.drain_s,
    allowAnonymous,
    allowedHosts: file.allowed_hosts,
    corsOrigins: file.cors_origins,
  };
}
