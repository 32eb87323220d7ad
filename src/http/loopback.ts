// What a host name says: the name in a `Host` value, and whether only this machine can be meant by it. Pure.
import { isIPv4, isIPv6 } from "node:net";

/** The name in a `Host` value or of a bind address, without its port and brackets, in lower case. */
export function hostName(host: string): string {
  if (host.startsWith("[") && host.includes("]")) return host.slice(1, host.indexOf("]")).toLowerCase();
  const colon = host.indexOf(":");
  // An IPv6 address without brackets (a bind address) has more than one colon and no port.
  const hasPort = colon >= 0 && colon === host.lastIndexOf(":") && !/\D/.test(host.slice(colon + 1));
  return (hasPort ? host.slice(0, colon) : host).toLowerCase();
}

/** Whether only this machine can reach a socket of that host name. */
export const isLoopback = (host: string): boolean => isLoopbackName(hostName(host));

/** The same of a name without its port and brackets, in lower case. */
export function isLoopbackName(name: string): boolean {
  if (isIPv4(name)) return name.startsWith("127.");
  if (!isIPv6(name) || !URL.canParse(`http://[${name}]`)) return name === "localhost" || name.endsWith(".localhost");
  // As URL writes it, since there are many spellings of one address.
  const plain = new URL(`http://[${name}]`).hostname;
  return plain === "[::1]" || plain.startsWith("[::ffff:7f");
}
