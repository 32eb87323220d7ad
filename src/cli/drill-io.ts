// Where a drill finds the running server and its key, and how it asks the operator.
import { loadConfig } from "../config/config.ts";
import { serviceEnvironment } from "../config/environment.ts";
import { systemFiles } from "../config/files.ts";
import { ownHosts } from "../config/machine.ts";
import type { DrillIo } from "./drill.ts";

/** As the service is configured; without a right configuration, the default address. */
export function whereItServes(url: string | null): { readonly url: string; readonly key: string | null } {
  const env = { ...serviceEnvironment(systemFiles.readFile).env, ...process.env };
  // A missing key is no fault here: the server says whether it wants one.
  const loaded = loadConfig({ ...systemFiles, ownHosts, args: { allowAnonymous: true }, env });
  const { host, port, apiKeys } = loaded.ok ? loaded.config.server : { host: "127.0.0.1", port: 8080, apiKeys: [] };
  const near = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return { url: url ?? `http://${near.includes(":") ? `[${near}]` : near}:${port}`, key: apiKeys[0] ?? null };
}

export function systemDrillIo(): DrillIo {
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`hal0-dispatch: ${line}\n`),
    confirm: process.stdin.isTTY ? confirm : null,
  };
}
