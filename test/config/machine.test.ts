// Under which names this machine knows itself, also where a sandbox does not let it ask for its addresses.
import { expect, test } from "bun:test";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { ownHosts } from "../../src/config/machine.ts";

test("its addresses and its name, bare and with a router's ending", () => {
  const [name = ""] = hostname().toLowerCase().split(".");
  expect(ownHosts()).toEqual(expect.arrayContaining(["127.0.0.1", name, `${name}.local`]));
});

/** What RestrictAddressFamilies= without AF_NETLINK does to a process: a seccomp filter of its own, which nothing takes off again. */
const REFUSE_NETLINK = `
  const { dlopen, ptr } = await import("bun:ffi");
  const { prctl } = dlopen("libc.so.6", { prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } }).symbols;
  const [SOCKET, AF_NETLINK, EAFNOSUPPORT] = [process.arch === "arm64" ? 198 : 41, 16, 97];
  // (code, jump if true, jump if false, value): load the number of the call; its first argument; answer.
  const filter = [[0x20, 0, 0, 0], [0x15, 0, 3, SOCKET], [0x20, 0, 0, 16], [0x15, 0, 1, AF_NETLINK],
    [0x06, 0, 0, 0x00050000 + EAFNOSUPPORT], [0x06, 0, 0, 0x7fff0000]];
  const code = new DataView(new ArrayBuffer(8 * filter.length));
  filter.forEach(([op, yes, no, value], at) => {
    code.setUint16(8 * at, op, true);
    code.setUint8(8 * at + 2, yes);
    code.setUint8(8 * at + 3, no);
    code.setUint32(8 * at + 4, value, true);
  });
  const program = new BigUint64Array([BigInt(filter.length), BigInt(ptr(code.buffer))]);
  const [NO_NEW_PRIVS, SECCOMP] = [38, 22];
  if (prctl(NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0 || prctl(SECCOMP, 2n, BigInt(ptr(program)), 0n, 0n) !== 0) throw new Error("no filter");
`;

test.if(process.platform === "linux")("its name alone, where netlink is refused", () => {
  const code = `${REFUSE_NETLINK}
    const { networkInterfaces } = await import("node:os");
    let refused = false;
    try { networkInterfaces(); } catch { refused = true; }
    const { ownHosts } = await import(${JSON.stringify(resolve("src/config/machine.ts"))});
    console.log(JSON.stringify([refused, ownHosts()]));`;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", code]);
  expect(stderr.toString()).toBe("");
  const [refused, hosts] = JSON.parse(stdout.toString());
  expect(refused).toBe(true);
  expect(hosts).toContain(hostname().toLowerCase());
  expect(hosts).not.toContain("127.0.0.1");
});
