// The variables that systemd gives the service from dispatch.env, read as systemd reads them. Keys are there: without them
// the configuration of the service would look wrong from a shell.
import { ENVIRONMENT } from "../host/layout.ts";
import { attemptRead, type Files } from "./files.ts";
import type { Env } from "./secrets.ts";

/** `fault` says why the file cannot be read, which mostly only root can. A missing file is no fault. */
export function serviceEnvironment(readFile: Files["readFile"]): { readonly env: Env; readonly fault: string | null } {
  const file = attemptRead(() => readFile(ENVIRONMENT));
  if (file.ok) return { env: readEnvironment(file.value), fault: null };
  return { env: {}, fault: file.isMissing ? null : `${ENVIRONMENT} ${file.reason}` };
}

/** The assignments of a systemd EnvironmentFile: one a line, `#` or `;` first passes, quotes around a value go. */
export function readEnvironment(text: string): Record<string, string> {
  const assignments = text.split("\n").flatMap((line) => {
    const [, name, value = ""] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name === undefined) return [];
    return [[name, value.trim().replace(/^(["'])(.*)\1$/, "$2")] as const];
  });
  return Object.fromEntries(assignments);
}
