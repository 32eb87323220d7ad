// Under which addresses and names this machine is reached, as its system says it.
import { hostname, networkInterfaces } from "node:os";
import { hostName, isLoopback } from "../http/loopback.ts";

/** Every address of its interfaces, its own name, and the name with the endings that home routers give. */
export function ownHosts(): string[] {
  const [name = ""] = hostname().toLowerCase().split(".");
  const names = name === "" ? [] : ["", ...LOCAL_ENDINGS].map((ending) => name + ending);
  return [...addresses(), ...new Set([hostname().toLowerCase(), ...names])];
}

function addresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  } catch {
    return []; // A service manager may refuse the netlink socket that this needs (RestrictAddressFamilies=).
  }
}

/** Whether a URL with that host leads to this machine. */
export const isThisMachine = (host: string): boolean => isLoopback(host) || ownHosts().includes(hostName(host));

const LOCAL_ENDINGS = [".local", ".lan", ".home", ".home.arpa", ".internal"];
