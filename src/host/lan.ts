// Opens the service to the network: what install writes into the configuration and the service's variables, and what it
// says at its end. Pure; makes no key and opens nothing that is not asked for.
import { isLoopback } from "../http/loopback.ts";
import { CONFIG, ENVIRONMENT } from "./layout.ts";

const EVERY_ADDRESS = "0.0.0.0";
const KEYS = "HAL0_DISPATCH_API_KEYS";

/** The configuration with `server.host` at every address: in place of the line that says it, commented or not, or as a new one. */
export function withEveryAddress(toml: string): string {
  const host = `host = "${EVERY_ADDRESS}"`;
  const lines = toml.split("\n");
  const header = lines.findIndex((line) => /^\s*\[\s*server\s*\]\s*(#.*)?$/.test(line));
  if (header < 0) return `${toml.trimEnd()}\n\n[server]\n${host}\n`.trimStart();
  const rest = lines.slice(header + 1);
  const next = rest.findIndex((line) => /^\s*\[/.test(line));
  const section = next < 0 ? rest : rest.slice(0, next);
  const set = section.findIndex((line) => /^\s*host\s*=/.test(line));
  const commented = section.findIndex((line) => /^\s*#\s*host\s*=/.test(line));
  const at = set >= 0 ? set : commented;
  return lines.toSpliced(header + 1 + Math.max(at, 0), at < 0 ? 0 : 1, host).join("\n");
}

/** The service's variables with that key, in place of an empty or commented one. */
export function withKey(environment: string, key: string): string {
  const line = `${KEYS}=${key}`;
  const empty = /^[ \t]*(?:#[ \t]*)?HAL0_DISPATCH_API_KEYS=[ \t]*$/m;
  return empty.test(environment) ? environment.replace(empty, line) : `${environment.trimEnd()}\n${line}\n`.trimStart();
}

/** Where the existing keys are, for an operator who looks for one. */
export const whereKeysAre = (variables: Readonly<Record<string, string>>): string =>
  variables[KEYS]
    ? `the one in ${ENVIRONMENT}, as ${KEYS}`
    : `the one that ${CONFIG} names (api_keys or api_keys_file)`;

export interface Closing {
  /** As the service says it: `http://0.0.0.0:8080`. */
  readonly url: string;
  /** At which the network reaches this machine. */
  readonly address: string;
  readonly isLan: boolean;
  /** The key, or where it is. */
  readonly key: string;
}

/** The last lines of an install. */
export function closingLines({ url, address, isLan, key }: Closing): string[] {
  const { hostname, port } = new URL(url);
  if (isLoopback(hostname))
    return [
      `It serves this machine alone, at ${url}/v1; its page is ${url}/`,
      "To open it to your network, with a key: hal0-dispatch install --lan",
    ];
  const isEvery = hostname === EVERY_ADDRESS || hostname === "[::]";
  const host = isEvery ? (address.includes(":") ? `[${address}]` : address) : hostname;
  const base = `http://${host}${port === "" ? "" : `:${port}`}`;
  return [`Page:     ${base}/`, `Base URL: ${base}/v1`, ...(isLan ? [`API key:  ${key}`] : [])];
}
