// What a host name says: the name in a `Host` value, and whether only this machine can be meant by it. Pure.
import { isIPv4, isIPv6 } from "node:net";

/** The name in a `Host` value or of a bind address, without its port and brackets, in lower case. */
export function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)?.[1];
  // An IPv6 address without brackets (a bind address) has more than one colon and no port.
  const plain = host.split(":").length > 2 ? host : host.replace(/:\d*$/, "");
  return (bracketed ?? plain).toLowerCase();
}

/** Whether only this machine can reach a socket of that host name. */
export function isLoopback(host: string): boolean {
  const name = hostName(host);
  if (isIPv4(name)) return name.startsWith("127.");
  if (!isIPv6(name) || !URL.canParse(`http://[${name}]`)) return name === "localhost" || name.endsWith(".localhost");
  // As URL writes it, since there are many spellings of one address.
  const plain = new URL(`http://[${name}]`).hostname;
  return plain === "[::1]" || plain.startsWith("[::ffff:7f");
}
