// Whether a URL leads to this server itself, where requests would go round until it has no files left, or two to one server. Pure.
import { isIPv4 } from "node:net";
import { hostName, isLoopback } from "../http/loopback.ts";

/** A server bound to one of these is reached at every address of the machine. */
const EVERY_ADDRESS = ["0.0.0.0", "::"];

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `ownHosts` are the machine's addresses and names, in small letters. A name that only a resolver knows to be ours is not seen here. */
export function isOwnAddress(url: string, server: Address, ownHosts: readonly string[]): boolean {
  const { host, port } = addressOf(url);
  if (port !== server.port) return false;
  if (isEvery(server.host)) return isLoopback(host) || ownHosts.includes(host);
  return isSameHost(host, spelled(server.host));
}

/** Whether two URLs lead to one server. */
export function isSameAddress(one: string, other: string): boolean {
  const [a, b] = [addressOf(one), addressOf(other)];
  return a.port === b.port && isSameHost(a.host, b.host);
}

function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url);
  // A connection to "every address" arrives at loopback.
  const host = isEvery(hostName(hostname)) ? "127.0.0.1" : spelled(hostname);
  return { host, port: Number(port || (protocol === "https:" ? 443 : 80)) };
}

const isEvery = (host: string): boolean => EVERY_ADDRESS.includes(host);

/** Loopback has many spellings; only two IPv4 addresses of it (`127.0.0.1`, `127.0.0.2`) are surely different ones. */
function isSameHost(one: string, other: string): boolean {
  if (one === other) return true;
  return isLoopback(one) && isLoopback(other) && !(isIPv4(one) && isIPv4(other));
}

/** A host as URL writes it, without brackets: there are many spellings of one IPv6 address. */
function spelled(host: string): string {
  const name = hostName(host);
  const url = `http://${name.includes(":") ? `[${name}]` : name}`;
  return URL.canParse(url) ? hostName(new URL(url).hostname) : name;
}
